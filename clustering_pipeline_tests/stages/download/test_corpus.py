import time

import pandas as pd
import pytest

from clustering_pipeline.settings import DownloadSettings
from clustering_pipeline.stages import download
from clustering_pipeline.stages.download import FAILURE_KINDS
from clustering_pipeline_tests.stages.download import corpus
from clustering_pipeline_tests.stages.download.conftest import catalogue


def misjudged(server, settings, context):
    cases = corpus.cases(server)
    manifest = download.run(
        catalogue=catalogue([case.url for case in cases]), settings=settings, context=context
    ).manifest
    given = [None if pd.isna(kind) else kind for kind in manifest["error_kind"]]
    return {
        case.name: (case.kind, kind)
        for case, kind in zip(cases, given, strict=True)
        if case.kind != kind
    }


def test_every_bad_answer_gets_its_kind(server, settings, context):
    small = settings.model_copy(update={"max_bytes": corpus.LARGEST})
    assert misjudged(server, small, context) == {}


def test_the_corpus_is_large_and_covers_the_kinds(server):
    bad = [case for case in corpus.cases(server) if case.kind]
    assert len(bad) >= 60
    # tls has tests of its own.
    assert {case.kind for case in bad} == set(FAILURE_KINDS) - {"tls"}


@pytest.mark.slow
def test_with_the_default_deadlines_it_ends_within_three_minutes(server, context):
    started = time.monotonic()
    patient = DownloadSettings(allow_hosts=(server.host,), max_bytes=corpus.LARGEST)
    assert misjudged(server, patient, context) == {}
    assert time.monotonic() - started < 180
