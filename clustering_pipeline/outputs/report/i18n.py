"""The words of the pages, in English and Vietnamese."""

from collections.abc import Mapping
from typing import Literal

Language = Literal["en", "vi"]

# Each entry: English, Vietnamese.
Words = Mapping[str, tuple[str, str]]
_WORDS: Words = {
    "report": ("Cluster report", "Báo cáo phân cụm"),
    "listings": ("Listings", "Sản phẩm đăng bán"),
    "clusters": ("Clusters", "Cụm"),
    "clustered": ("In a cluster", "Đã vào cụm"),
    "no_match": ("No match", "Không trùng với ai"),
    "rejected": ("Rejected pictures", "Ảnh bị loại"),
    "download_failed": ("Failed downloads", "Tải ảnh thất bại"),
    "invalid_row": ("Unusable rows", "Dòng không dùng được"),
    "funnel": ("From rows to clusters", "Từ dòng dữ liệu đến cụm"),
    "funnel_of_pictures": ("What is left of the pictures after each filter", "Số ảnh còn lại sau mỗi bộ lọc"),
    "funnel_lead": ("What was left after each step, and why.", "Còn lại bao nhiêu sau mỗi bước, và vì sao."),
    "step_rows": ("Rows in the workbook", "Dòng trong bảng tính"),
    "step_usable": ("Rows with an id and a URL", "Dòng có mã và đường dẫn"),
    "step_downloaded": ("Listings with a picture", "Sản phẩm có ảnh"),
    "step_accepted": ("Listings with a good picture", "Sản phẩm có ảnh dùng được"),
    "step_clustered": ("Listings in a cluster", "Sản phẩm đã vào cụm"),
    "distinct": ("Distinct pictures", "Ảnh khác nhau"),
    "crops": ("Product crops", "Vùng sản phẩm"),
    "duplicates": ("Duplicate crops", "Vùng trùng lặp"),
    "kept": ("Crops compared", "Vùng được so sánh"),
    "matches": ("Verified matches", "Cặp trùng đã kiểm chứng"),
    "sizes": ("Cluster sizes", "Kích thước cụm"),
    "sizes_lead": ("How many clusters have so many listings.", "Có bao nhiêu cụm với số sản phẩm này."),
    "doubt": ("Doubt", "Nghi ngờ"),
    "gallery_lead": (
        "The most doubtful first: a cluster is as sure as its weakest link.",
        "Cụm đáng ngờ nhất đứng trước: một cụm chỉ chắc bằng mối nối yếu nhất của nó.",
    ),
    "no_match_lead": (
        "Listings whose product nobody else in the catalogue seems to sell.",
        "Sản phẩm mà có vẻ không ai khác trong danh mục cùng bán.",
    ),
    "rejected_lead": ("Pictures that cannot be compared, with the reason.", "Ảnh không thể so sánh, kèm lý do."),
    "problems_lead": ("Rows that gave no picture, with the reason.", "Dòng không có ảnh, kèm lý do."),
    "settings": ("Settings in force", "Thiết lập đang dùng"),
    "facts": ("Figures of each step", "Số liệu từng bước"),
    "versions": ("Versions", "Phiên bản"),
    "cluster": ("Cluster", "Cụm"),
    "weakest": ("Weakest link", "Mối nối yếu nhất"),
    "evidence_points": ("matched points", "điểm khớp"),
    "evidence_text": ("text alike", "chữ giống nhau"),
    "evidence_colour": ("colour alike", "màu giống nhau"),
    "evidence_numbers": ("numbers differ", "số khác nhau"),
    "evidence_agreeing": ("lines agree", "dòng chữ khớp"),
    "evidence_conflicting": ("lines conflict", "dòng chữ mâu thuẫn"),
    "probability": ("probability", "xác suất"),
    "same_picture": ("the same picture", "cùng một ảnh"),
    "pictures": ("pictures", "ảnh"),
    "more": ("more", "nữa"),
    "not_shown": ("not shown here: see the workbook", "không hiện ở đây: xem bảng tính"),
    "filter": ("Filter by name, id or number", "Lọc theo tên, mã hoặc số"),
    "none": ("None", "Không có"),
    "row": ("Row", "Dòng"),
    "id": ("Id", "Mã"),
    "reason": ("Reason", "Lý do"),
    "link": ("Picture URL", "Đường dẫn ảnh"),
    "setting": ("Setting", "Thiết lập"),
    "value": ("Value", "Giá trị"),
    "theme": ("Light or dark", "Sáng hoặc tối"),
    "representative": ("representative", "ảnh đại diện"),
    "sure": ("sure", "chắc chắn"),
    "look": ("worth a look", "nên xem"),
    "doubtful": ("doubtful", "đáng ngờ"),
    "no_title": ("without a title", "chưa có tên"),
    "skip": ("Skip to the content", "Tới nội dung"),
    "step": ("Step", "Bước"),
    "read_on": ("Text read on the pack", "Chữ đọc được trên bao bì"),
    "colours": ("Colours", "Màu sắc"),
    "no_text": ("no text read", "không đọc được chữ"),
    "map": ("Map", "Bản đồ"),
    "map_lead": (
        "Each dot is a picture that was compared; near ones look alike. Colour: its cluster; grey: none.",
        "Mỗi chấm là một ảnh được so sánh; ảnh giống nhau nằm gần nhau. Màu: cụm của nó; xám: không có cụm.",
    ),
    "tuning": ("How parameters were chosen", "Tham số được chọn thế nào"),
    "changes": ("What changed since", "Thay đổi kể từ"),
    "new_listings": ("new listings", "sản phẩm mới"),
    "gone_listings": ("gone listings", "sản phẩm đã mất"),
    "moved_listings": ("listings in another cluster", "sản phẩm đổi cụm"),
    "new_clusters": ("new clusters", "cụm mới"),
    "splits": ("split off", "tách ra"),
    "merges": ("merged", "gộp lại"),
    "from_cluster": ("from", "từ"),
    "into_cluster": ("into", "vào"),
    "gone_clusters": ("gone clusters", "cụm đã mất"),
    "conflict": ("conflict", "mâu thuẫn"),
}


class Texts:
    """Looks up words and writes numbers in one language."""

    def __init__(self, language: Language, more: Words | None = None) -> None:
        """`more`: words besides those of the report."""
        self.language = language
        self._column = ("en", "vi").index(language)
        self._words = {**_WORDS, **(more or {})}

    def __getitem__(self, key: str) -> str:
        return self._words[key][self._column]

    def number(self, value: float) -> str:
        """Return an integer with thousands separated the way the language does."""
        text = f"{round(value):,}"
        return text.replace(",", ".") if self.language == "vi" else text

    def share(self, value: float) -> str:
        """Return a share of 1 as a percentage."""
        text = f"{100 * value:.0f}" if value >= 0.1 or value == 0 else f"{100 * value:.1f}"
        return f"{text.replace('.', ',')} %" if self.language == "vi" else f"{text}%"
