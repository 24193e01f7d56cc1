"""One picture by its URL, for a person who waits: the same guards, limits and decoder as a catalogue's pictures."""

from concurrent.futures import ThreadPoolExecutor

from clustering_pipeline.download.answers import Content
from clustering_pipeline.download.failures import Failure, FetchError, failure
from clustering_pipeline.download.fetcher import Fetcher, run_in_own_loop
from clustering_pipeline.download.keeping import image_limits, picture_failure, verify
from clustering_pipeline.download.schedule import Job
from clustering_pipeline.download.urls import UrlError, parse_url
from clustering_pipeline.imaging import ImageError
from clustering_pipeline.settings.download import DownloadSettings


class _RememberingSink:
    """Keeps the one answer in memory."""

    def __init__(self) -> None:
        self.body: bytes | None = None
        self.failure: Failure | None = None

    def content(self, key: str, content: Content) -> None:
        self.body = content.body

    def unchanged(self, key: str) -> None:
        raise AssertionError("nothing is held that could be unchanged")

    def failed(self, failures: list[tuple[str, Failure]]) -> None:
        self.failure = failures[0][1]


def fetch_one(url: str, settings: DownloadSettings) -> bytes:
    """Return the bytes of the picture at `url`, which decode whole; raises FetchError with the kind and a sentence.

    Nothing is stored. A host that does not answer is not waited for beyond `settings.deadline_seconds`.
    """
    try:
        address = parse_url(url)
    except UrlError as error:
        raise FetchError(failure("invalid_url", f"The URL {error}. It needs the form https://host/path.")) from error
    patient = settings.model_copy(update={"breaker_failures": settings.retries + 2})
    sink = _RememberingSink()
    with ThreadPoolExecutor(1) as worker:
        run_in_own_loop(Fetcher(patient, sink, worker).run([Job(url, address, settings.deadline_seconds)]))
    if sink.body is None:
        raise FetchError(sink.failure or failure("connect", "The picture could not be fetched."))
    try:
        verify(sink.body, image_limits(settings))
    except ImageError as error:
        raise FetchError(picture_failure(error)) from error
    return sink.body
