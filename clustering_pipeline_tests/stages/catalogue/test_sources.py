"""What a category is recorded from, and where its name goes."""

import unicodedata

import pytest

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.core.text import category_slug
from clustering_pipeline.settings import CatalogueSettings
from clustering_pipeline.stages import catalogue
from clustering_pipeline.stages.catalogue import SourceRecords, read_source, stored_picture
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.storage import BlobStore, FeatureTables, FileTree


@pytest.fixture
def records(tmp_path):
    return SourceRecords(
        FileTree(str(tmp_path / "store")), BlobStore(str(tmp_path / "store/blobs"))
    )


def context(records, tmp_path):
    return StageContext(records.blobs, FeatureTables(str(tmp_path / "features")), tmp_path)


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Kem chống nắng", "kem-chong-nang"),
        ("Đồ/điện  (tử)", "do-dien-tu"),
        ("SỮA RỬA MẶT", "sua-rua-mat"),
        ("../../etc/passwd", "etc-passwd"),
        ("ﬁne №5", "fine-no5"),
    ],
)
def test_a_category_slug_is_plain_ascii(name, slug):
    assert category_slug(name) == slug


@pytest.mark.parametrize("name", ["", "///", "面霜"])
def test_a_name_without_latin_letters_is_refused(name):
    with pytest.raises(InputError, match="--category"):
        category_slug(name)


@pytest.mark.parametrize("name", ["~$tháng 5.xlsx", ".~lock.tháng 5.xlsx#"])
def test_the_lock_file_of_an_open_workbook_names_the_workbook(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x05Admin")
    with pytest.raises(InputError, match=r"tháng 5\.xlsx is open\. Give tháng 5\.xlsx"):
        read_source(tmp_path / name)


@pytest.mark.parametrize(
    ("first", "second"), [("Bơ", "Bò"), ("Kem " * 30 + "a", "Kem " * 30 + "b"), ("a/b", "a b")]
)
def test_a_name_that_gives_the_key_of_another_category_is_refused(records, tmp_path, first, second):
    path = tmp_path / "c.csv"
    path.write_text("id,image\n1,https://a.vn/1.jpg\n", encoding="utf-8")
    recorded = records.record(path, first)
    with pytest.raises(InputError, match="other letters with --category"):
        records.record(path, second)
    assert records.load(recorded.category).display_name == first


def test_a_name_in_other_capitals_is_the_same_category(records, tmp_path):
    path = tmp_path / "c.csv"
    path.write_text("id,image\n1,https://a.vn/1.jpg\n", encoding="utf-8")
    records.record(path, unicodedata.normalize("NFD", "Kem chống nắng"))
    assert records.record(path, "KEM  chống nắng").display_name == "KEM  chống nắng"


def test_a_record_keeps_a_copy_of_the_bytes(records, tmp_path):
    path = tmp_path / "sữa rửa mặt.csv"
    path.write_text("id,image\n1,https://a.vn/1.jpg\n", encoding="utf-8")
    source = records.record(path, output=tmp_path / "out.xlsx")
    content = path.read_bytes()
    path.unlink()
    assert source.category == "sua-rua-mat"
    assert source.display_name == "sữa rửa mặt"
    assert records.blobs.get(records.load("sua-rua-mat").sha256) == content
    assert records.all() == [source]


def test_an_unknown_category_names_the_known_ones(records, tmp_path):
    (tmp_path / "toner.csv").write_text("id,image\n1,https://a.vn/1.jpg\n")
    records.record(tmp_path / "toner.csv")
    with pytest.raises(InputError, match="toner"):
        records.load("cleanser")


@pytest.mark.parametrize("content", [None, b""])
def test_a_missing_or_empty_file_is_refused(records, tmp_path, content):
    path = tmp_path / "catalogue.xlsx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"catalogue\.xlsx"):
        records.record(path)


def test_every_picture_of_a_folder_is_a_listing(records, tmp_path):
    folder = tmp_path / "toner"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "ảnh 1.JPG").write_bytes(b"one")
    (folder / "2.png").write_bytes(b"two")
    (folder / "notes.txt").write_bytes(b"no")
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(b"outside")
    (folder / "link.jpg").symlink_to(secret)
    source = records.record(folder)
    result = catalogue.run(
        source=source, settings=CatalogueSettings(), context=context(records, tmp_path)
    )
    assert list(result.manifest["product_base_id"]) == ["2.png", "a/ảnh 1.JPG"]
    digests = [stored_picture(urls[0]) for urls in result.manifest["urls"]]
    assert [records.blobs.get(digest) for digest in digests] == [b"two", b"one"]


def test_cells_name_files_of_the_given_folder_only(records, tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "1.jpg").write_bytes(b"one")
    (tmp_path / "other.jpg").write_bytes(b"outside")
    rows = [
        "1,1.jpg",
        "2,file:1.jpg",
        "3,../other.jpg",
        "4,/etc/passwd",
        "5,https://a.vn/5.jpg",
        "6,missing.jpg",
    ]
    (tmp_path / "c.csv").write_text("\n".join(["id,image", *rows]))
    source = records.record(tmp_path / "c.csv", images_from=tmp_path / "pictures")
    manifest = catalogue.run(
        source=source, settings=CatalogueSettings(), context=context(records, tmp_path)
    ).manifest
    assert list(manifest["usable"]) == [True, True, False, False, True, False]
    assert "folder of pictures" in manifest["reason"][2]
    plain = catalogue.run(
        source=records.record(tmp_path / "c.csv"),
        settings=CatalogueSettings(),
        context=context(records, tmp_path),
    ).manifest
    assert list(plain["usable"]) == [False] * 4 + [True, False]


def test_pictures_that_may_not_be_read_cost_their_rows_alone(
    records, tmp_path, caplog, rights_hold
):
    pictures = tmp_path / "pictures"
    for name in ("1.jpg", "2.jpg", "closed/3.jpg", "listed/4.jpg"):
        (pictures / name).parent.mkdir(parents=True, exist_ok=True)
        (pictures / name).write_bytes(name.encode())
    (tmp_path / "c.csv").write_text("id,image\n1,1.jpg\n2,2.jpg\n3,closed/3.jpg\n4,listed/4.jpg\n")
    (pictures / "2.jpg").chmod(0)
    (pictures / "closed").chmod(0)
    (pictures / "listed").chmod(0o400)
    source = records.record(tmp_path / "c.csv", images_from=pictures)
    for folder in ("closed", "listed"):
        (pictures / folder).chmod(0o700)
    manifest = catalogue.run(
        source=source, settings=CatalogueSettings(), context=context(records, tmp_path)
    ).manifest
    assert list(manifest["usable"]) == [True, False, False, False]
    assert all(name in caplog.text for name in ("2.jpg", "closed", "listed"))


def test_a_changed_folder_of_pictures_changes_the_record(records, tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "1.jpg").write_bytes(b"one")
    (tmp_path / "c.csv").write_text("id,image\n1,1.jpg\n")
    before = records.record(tmp_path / "c.csv", images_from=tmp_path / "pictures")
    (tmp_path / "pictures" / "1.jpg").write_bytes(b"another")
    assert records.record(tmp_path / "c.csv", images_from=tmp_path / "pictures") != before


def test_one_workbook_is_read_per_category(records, tmp_path):
    path = tmp_path / "c.csv"
    path.write_text(
        "id,image,category\n1,https://a.vn/1.jpg,Toner\n2,https://a.vn/2.jpg,Kem\n3,https://a.vn/3.jpg,Toner\n"
    )
    source = records.record(path, "Toner", part=("Category", "Toner"))
    manifest = catalogue.run(
        source=source, settings=CatalogueSettings(), context=context(records, tmp_path)
    ).manifest
    assert list(manifest["product_base_id"]) == ["1", "3"]
