"""Where everything lies: below the Dagster home, in its folder of local databases, and below the
root of the storage.
"""

# Below the home.
HOME_IDENTITY = "home.id"
STATE, STORAGE, MODELS, CATALOGUES = "state", "storage", "models", "catalogues"
# Workbooks that came through the browser: a folder per category.
UPLOADS = "uploads"

# In the folder of local databases.
DOWNLOAD_JOURNAL = "download.sqlite"
CLUSTER_NUMBERS = "cluster_numbers.sqlite"
# Its table that grows by a row whenever a category is grouped otherwise than before.
NUMBERED_RESULTS, RESULT_NUMBER = "results", "result"
REPORT_HISTORY = "report_history.sqlite"
# Its table where all of them lie in one database.
REPORTED_RESULTS = "reported_results"
DELIVERIES = "deliveries.sqlite"
CORRECTIONS = "corrections.sqlite"
REVIEW_PROGRESS = "review_progress.sqlite"
LOCKS = "locks"
# Held by who opens the databases of the home, by who uses the storage, and by who prunes it.
OPENING_LOCK, STORAGE_LOCK = "opening.lock", "storage.lock"
# Workbooks of a catalogue folder that is not local.
CATALOGUE_COPIES = "catalogues"
# Runs in processes of their own, a folder each; uploads whose columns are being looked at.
BACKGROUND, DRAFTS = "background", "drafts"
CLUSTER_DRAWINGS = "cluster_drawings"
REDUCTIONS = "reductions"

# Below the root of the storage.
BLOBS, FEATURES, MANIFESTS, SOURCES, OUTPUTS = (
    "blobs",
    "features",
    "manifests",
    "sources",
    "outputs",
)
# Copies of local databases that cannot be made again, and whose storage this is.
COPIES, OWNER = "copies", "owner.json"
# Among the copies: how far the database had come that several homes share.
DATABASE_MARK = "database.json"
FOLDERS = (BLOBS, FEATURES, MANIFESTS, SOURCES, OUTPUTS)

# Below the outputs of a category.
REPORT, CONTACT_SHEET, LEFT_OUT = "report.html", "crops.html", "left-out.html"
SEARCH_INDEX = "search"


def report(language: str) -> str:
    """Return the name of the report in a language that is not the one of its settings."""
    return f"report.{language}.html"


def source_record(category: str, suffix: str = ".json") -> str:
    """Return the path of a category's record, or of a mark beside it."""
    return f"{SOURCES}/{category}{suffix}"


def output(category: str, name: str) -> str:
    """Return the path of an output of a category below the outputs."""
    return f"{category}/{name}"
