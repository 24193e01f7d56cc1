import subprocess
import sys
import textwrap

from clustering_pipeline.stages import download
from clustering_pipeline_tests.stages.download.conftest import catalogue, picture
from clustering_pipeline_tests.stages.download.server import reply

PROGRAM = """
    import sys
    from pathlib import Path
    from clustering_pipeline.stages import download
    from clustering_pipeline.settings import DownloadSettings
    from clustering_pipeline.stages.contract import StageContext
    from clustering_pipeline.storage import BlobStore, FeatureTables
    from clustering_pipeline_tests.stages.download.conftest import catalogue

    folder, host = Path(sys.argv[1]), sys.argv[2]
    context = StageContext(BlobStore(str(folder / "blobs")), FeatureTables(str(folder / "tables")), folder / "state")
    table = catalogue([f"http://{host}/{n}.jpg" for n in range(400)])
    download.run(catalogue=table, settings=DownloadSettings(allow_hosts=(host,)), context=context)
"""


def test_after_a_kill_only_what_was_under_way_is_asked_again(server, context, settings):
    total, body = 400, reply(200, picture())
    program = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), str(context.state.parent), server.host]
    )

    async def answer(request, writer):
        if len(server.requests) == total // 2:
            program.kill()
        writer.write(body)
        await writer.drain()

    server.default = answer
    assert program.wait(60) != 0
    server.default = body
    before = len(server.requests)
    result = download.run(
        catalogue=catalogue([server.url(f"/{n}.jpg") for n in range(total)]),
        settings=settings,
        context=context,
    )
    assert result.facts["failed"] == 0
    assert total // 2 <= before < total
    assert len(server.requests) - total <= 16
    assert set(server.counts()) == {f"/{n}.jpg" for n in range(total)}
