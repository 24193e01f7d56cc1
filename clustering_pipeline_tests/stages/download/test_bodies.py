import asyncio

from clustering_pipeline.stages import download
from clustering_pipeline.stages.download.transport import LARGE_BYTES, LargeBodies
from clustering_pipeline_tests.stages.download.conftest import catalogue, picture
from clustering_pipeline_tests.stages.download.server import chunked, reply


def most_at_once(lengths, places):
    """Let bodies of `lengths` bytes grow together; return how many large ones were in memory at
    once.
    """

    async def visit(bodies, length, state):
        async with bodies.visit() as large:
            await large.grow(length)
            state["now"] += length > LARGE_BYTES
            state["most"] = max(state["most"], state["now"])
            await asyncio.sleep(0)
            state["now"] -= length > LARGE_BYTES

    async def run():
        bodies, state = LargeBodies(places), {"now": 0, "most": 0}
        await asyncio.gather(*(visit(bodies, length, state) for length in lengths))
        return state["most"]

    return asyncio.run(run())


def test_only_so_many_large_bodies_are_in_memory_at_once():
    assert most_at_once([LARGE_BYTES + 1] * 9, places=2) == 2


def test_small_bodies_wait_for_nobody():
    assert most_at_once([LARGE_BYTES] * 5, places=0) == 0


def test_more_large_pictures_than_places_all_arrive(server, settings, context):
    padded = [picture(number) + b"\0" * LARGE_BYTES for number in range(12)]
    patient = settings.model_copy(
        update={"idle_seconds": 10, "attempt_seconds": 20, "deadline_seconds": 30}
    )
    answers = [
        reply(200, body) if number % 2 else chunked(body) for number, body in enumerate(padded)
    ]
    urls = [server.serve(f"/{number}.jpg", answer) for number, answer in enumerate(answers)]
    assert (
        download.run(catalogue=catalogue(urls), settings=patient, context=context).facts["failed"]
        == 0
    )
