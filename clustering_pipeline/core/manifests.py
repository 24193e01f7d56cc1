"""The manifests: the Parquet table that each asset returns, one row per item, small values only.

Each schema below is the contract between the stage that writes it and those that read it. `conform`
is applied before a manifest leaves a stage, so that equal content is equal to the byte.
"""

import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

TEXT, COUNT, REAL, FLAG = pa.string(), pa.int64(), pa.float64(), pa.bool_()
TEXTS = pa.list_(pa.string())
VECTOR = pa.list_(pa.float32())
_JOINED_ROWS = 16_384
BOX = [("x0", COUNT), ("y0", COUNT), ("x1", COUNT), ("y1", COUNT)]


@dataclass(frozen=True)
class Manifest:
    """The columns of one asset's table, and those that name a row uniquely and order the table."""

    name: str
    schema: pa.Schema
    key: tuple[str, ...]


def columns(kind: pa.DataType, *names: str) -> list[tuple[str, pa.DataType]]:
    """Return columns of one kind, for a schema."""
    return [(name, kind) for name in names]


def _manifest(name: str, key: tuple[str, ...], columns: list[tuple[str, pa.DataType]]) -> Manifest:
    return Manifest(name, pa.schema(columns), key)


SETTINGS = _manifest(
    "settings", ("stage",), [("stage", TEXT), ("settings", TEXT), ("fingerprint", TEXT)]
)

# A row is a listing, in the order of the workbook. `extra` is a JSON object of every other column
# as text.
CATALOGUE = _manifest(
    "catalogue",
    ("listing",),
    [
        ("listing", COUNT),
        ("sheet", TEXT),
        ("sheet_row", COUNT),
        ("product_base_id", TEXT),
        ("url_cell", TEXT),
        ("urls", TEXTS),
        ("title", TEXT),
        ("usable", FLAG),
        ("reason", TEXT),
        ("extra", TEXT),
    ],
)

# A row is a listing: what its row says of the offer. `price` is the lowest of a range, `price_high`
# its highest; `discount` a share of 1; `rating` stars of 5; `unit_price` is per `unit`;
# `observed_on` an ISO 8601 day; `unread` a JSON object of the values, by column of this manifest,
# that could not be read.
OFFERS = _manifest(
    "offers",
    ("listing",),
    [
        ("listing", COUNT),
        *columns(REAL, "price", "price_high", "list_price", "discount"),
        *columns(TEXT, "currency", "seller", "place", "brand"),
        ("sold", COUNT),
        ("rating", REAL),
        ("reviews", COUNT),
        *columns(TEXT, "link", "observed_on"),
        ("unit_price", REAL),
        *columns(TEXT, "unit", "unread"),
    ],
)

# A row is one picture of a listing; `position` counts the pictures of a listing from 0. Listings
# without a URL have no row.
RAW_IMAGES = _manifest(
    "raw_images",
    ("listing", "position"),
    [
        ("listing", COUNT),
        ("position", COUNT),
        ("url", TEXT),
        ("image_sha256", TEXT),
        ("format", TEXT),
        ("width", COUNT),
        ("height", COUNT),
        ("bytes", COUNT),
        ("status", TEXT),
        ("error_kind", TEXT),
        ("error", TEXT),
        ("http_status", COUNT),
    ],
)

ENGLISH_PROMPTS = _manifest(
    "english_prompts",
    ("word",),
    [("word", TEXT), ("english", TEXT), ("synonyms", TEXTS), ("translator", TEXT)],
)

# A row is a region of a distinct image; boxes are half-open pixels of the picture after EXIF
# rotation; `mask` is the blob of the box's mask where the background was removed. A picture that
# could not be decoded has one row without a crop, whose `error` says why.
CROPS = _manifest(
    "crops",
    ("image_sha256", "rank"),
    [
        ("image_sha256", TEXT),
        ("rank", COUNT),
        ("crop_sha256", TEXT),
        *BOX,
        ("mask", TEXT),
        ("image_width", COUNT),
        ("image_height", COUNT),
        ("word", TEXT),
        ("label", TEXT),
        ("score", REAL),
        ("detector", TEXT),
        ("is_main", FLAG),
        ("is_whole_image", FLAG),
        ("error", TEXT),
    ],
)

# A row is a distinct crop. `status` is kept, duplicate or rejected; a duplicate names its keeper, a
# kept crop is its own.
CLEAN_IMAGES = _manifest(
    "clean_images",
    ("crop_sha256",),
    [
        ("crop_sha256", TEXT),
        ("image_sha256", TEXT),
        *BOX,
        ("mask", TEXT),
        ("is_main", FLAG),
        ("status", TEXT),
        ("reason_kind", TEXT),
        ("reason", TEXT),
        ("keeper", TEXT),
        ("distance", REAL),
        ("sharpness", REAL),
        ("brightness", REAL),
        ("contrast", REAL),
        ("detail", REAL),
        ("phash", TEXT),
        ("dhash", TEXT),
    ],
)

# A row is a picture that people want kept whatever its quality.
OVERRULED_PICTURES = _manifest("overruled_pictures", ("image_sha256",), [("image_sha256", TEXT)])

# A row is a kept crop; `features` is the blob of its keypoints and descriptors, the box is the
# product's within the crop, `copies` how often its print stands side by side. `template`: which
# cells of its picture a shop lays something over; pictures under the same have one kind, and so
# many they are.
LOCAL_FEATURES = _manifest(
    "local_features",
    ("crop_sha256",),
    [
        ("crop_sha256", TEXT),
        *BOX,
        ("keypoints", COUNT),
        ("features", TEXT),
        ("colour", VECTOR),
        ("copies", COUNT),
        ("palette", VECTOR),
        ("template", TEXT),
        ("template_kind", TEXT),
        ("template_pictures", COUNT),
    ],
)

EMBEDDINGS = _manifest("embeddings", ("crop_sha256",), [("crop_sha256", TEXT), ("vector", VECTOR)])

# `reason`: why a crop that is rejected leaves its listing without a cluster; null for one that is
# linked to its keeper.
SEMANTIC_DUPLICATES = _manifest(
    "semantic_duplicates",
    ("crop_sha256",),
    [("crop_sha256", TEXT), ("keeper", TEXT), ("similarity", REAL), ("reason", TEXT)],
)

# A row is a pair of keepers, crop_a < crop_b, with the evidence; `weight` is what the grouping
# uses, 0 when refused.
MATCHES = _manifest(
    "matches",
    ("crop_a", "crop_b"),
    [
        ("crop_a", TEXT),
        ("crop_b", TEXT),
        ("cosine", REAL),
        ("inliers", COUNT),
        ("print_weight", REAL),
        ("text_similarity", REAL),
        ("lines_agreeing", COUNT),
        ("lines_conflicting", COUNT),
        ("colour_similarity", REAL),
        ("title_similarity", REAL),
        ("number_conflict", TEXT),
        ("probability", REAL),
        ("weight", REAL),
        ("shape_similarity", REAL),
        ("overlay_share", REAL),
        ("contradiction", REAL),
        ("log_odds", REAL),
        ("reasons", TEXT),
        ("palette_similarity", REAL),
        ("aligned_cells", REAL),
        ("aligned_correlation", REAL),
        ("aligned_low_correlation", REAL),
        ("aligned_worst_block", REAL),
        ("aligned_hue", REAL),
        ("aligned_tint", REAL),
        ("aligned_chroma_cosine", REAL),
        ("aligned_one_coloured", REAL),
        ("aligned_patch", REAL),
        ("aligned_differing", REAL),
        ("text_csls", REAL),
        ("text_rank", REAL),
        ("same_shop", FLAG),
    ],
)

# A row is one statement of a person. Pictures are named by product_base_id and, where known, the
# image's sha256.
CORRECTIONS = _manifest(
    "corrections",
    ("number",),
    [
        ("number", COUNT),
        ("kind", TEXT),
        ("id_a", TEXT),
        ("image_a", TEXT),
        ("id_b", TEXT),
        ("image_b", TEXT),
        ("cluster_id", COUNT),
        ("name", TEXT),
        ("author", TEXT),
        ("time", TEXT),
    ],
)

# A row is a listing. cluster_id is -1 for no_match and null for rejected, download_failed and
# invalid_row.
CLUSTERS = _manifest(
    "clusters",
    ("listing",),
    [
        ("listing", COUNT),
        ("cluster_id", COUNT),
        ("cluster_size", COUNT),
        ("status", TEXT),
        ("reason", TEXT),
        ("confidence", REAL),
        ("is_representative", FLAG),
        ("crop_sha256", TEXT),
        ("keeper", TEXT),
        ("cluster_name", TEXT),
        ("margin", REAL),
        ("weakest_link", REAL),
    ],
)

# A row is a file that was written for the user.
WRITTEN_FILES = _manifest(
    "written_files", ("path",), [("path", TEXT), ("sha256", TEXT), ("rows", COUNT)]
)

MANIFESTS = {
    manifest.name: manifest for manifest in list(vars().values()) if isinstance(manifest, Manifest)
}

LISTING_STATUSES = ("clustered", "no_match", "rejected", "download_failed", "invalid_row")


def column_meanings(manifest: Manifest) -> dict[str, str]:
    """Return what each column of a manifest means, in a sentence for people; `columns.tsv` holds
    those of one manifest, and under `*` what they have in common.

    Example:
        >>> column_meanings(EMBEDDINGS)["vector"]
        "The encoder's vector, of length 1"
    """
    meanings = _meanings()
    return {
        name: meanings.get((manifest.name, name)) or meanings["*", name]
        for name in manifest.schema.names
    }


@cache
def _meanings() -> dict[tuple[str, str], str]:
    lines = files("clustering_pipeline.core").joinpath("columns.tsv").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in lines.splitlines()[1:])
    return {(manifest, column): meaning for manifest, column, meaning in rows}


def conform(frame: pd.DataFrame, manifest: Manifest) -> pd.DataFrame:
    """Return `frame` with exactly the manifest's columns and types, ordered by its key.

    Missing values are None or NaN on the way in and pandas' nullable types on the way out.
    Raises ValueError when a column is missing, unknown or of another type, or when the key is not
    unique.

    Example:
        >>> words = pd.DataFrame({"word": ["chai"], "english": ["bottle"], "synonyms": [["flask"]]})
        >>> conform(words.assign(translator=None), ENGLISH_PROMPTS).dtypes.astype(str).to_dict()
        {'word': 'string', 'english': 'string', 'synonyms': 'object', 'translator': 'string'}
    """
    expected, columns = set(manifest.schema.names), set(frame.columns)
    if expected != columns:
        raise ValueError(
            f"{manifest.name}: missing columns {sorted(expected - columns)}, unknown columns "
            f"{sorted(columns - expected)}"
        )
    table = to_table(frame, manifest)
    # Each copy of a million rows takes hundreds of megabytes: no more of them than one is needed.
    del frame
    table = table.take(pc.sort_indices(table, [(name, "ascending") for name in manifest.key]))
    repeated = to_frame(table.select(manifest.key)).duplicated()
    if repeated.any():
        raise ValueError(
            f"{manifest.name}: {manifest.key} is not unique, e.g. "
            f"{to_frame(table.slice(int(repeated.argmax()), 1)).iloc[0].to_dict()}"
        )
    return to_frame(table)


def empty(manifest: Manifest) -> pd.DataFrame:
    """Return the manifest without rows."""
    return to_frame(manifest.schema.empty_table())


def to_table(frame: pd.DataFrame, manifest: Manifest) -> pa.Table:
    """Return the frame as an Arrow table of the manifest's schema; raises ValueError for values
    that do not fit.
    """
    try:
        return _typed(frame, manifest.schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ValueError(f"{manifest.name}: {error}") from error


def joined_frames(frames: Iterable[pd.DataFrame], schema: pa.Schema) -> pa.Table:
    """Return the rows of frames, which may be small, as one Arrow table: as objects a million rows
    would take gigabytes. Raises pyarrow's errors for values that do not fit.
    """
    joined: list[pa.Table] = []
    small = [schema.empty_table()]
    for frame in frames:
        small.append(_typed(frame, schema))
        if sum(map(len, small)) >= _JOINED_ROWS:
            joined.append(pa.concat_tables(small).combine_chunks())
            small.clear()
    return pa.concat_tables([*joined, *small])


def _typed(frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
    # Where the parts of a column end would show in the bytes of a file.
    return table.replace_schema_metadata().combine_chunks()


_PANDAS_TYPES = {TEXT: pd.StringDtype("pyarrow"), COUNT: pd.Int64Dtype(), FLAG: pd.BooleanDtype()}


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Return an Arrow table as a frame with nullable text, integers and booleans; lists become
    arrays.
    """
    frame: pd.DataFrame = table.to_pandas(types_mapper=_PANDAS_TYPES.get)
    return frame


def with_later_columns(table: pa.Table, manifest: Manifest) -> pa.Table:
    """Return the table of an earlier version with the columns that its manifest has got since,
    without a value in them.
    """
    for field in manifest.schema:
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    return table


def write_parquet(table: pa.Table) -> bytes:
    """Return the Parquet bytes of a table; equal tables give equal bytes."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def content_version(frame: pd.DataFrame, manifest: Manifest) -> str:
    """Return the sha256 of a conformed manifest: its data version."""
    return hashlib.sha256(write_parquet(to_table(frame, manifest))).hexdigest()
