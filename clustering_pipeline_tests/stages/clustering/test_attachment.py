def grown(world):
    for seller in "123":
        world.listing("a" + seller, "a" + seller)
    return world.match("a1", "a2").match("a2", "a3").match("a1", "a3")


def test_a_new_listing_joins_the_cluster_that_it_matches_and_nothing_else_moves(world, context):
    before = grown(world).clusters(context)
    # From scratch the two new listings would tear the old cluster: their links outweigh the old
    # ones by far.
    world.listing("n1", "n1").listing("n2", "n2").match("n1", "a1", 6).match("n2", "a1", 6).match(
        "n1", "n2", 6
    )
    after = world.clusters(context, attach=True)
    assert {name: after[name] for name in before} == before
    assert after["n1"] == after["n2"] == before["a1"]


def test_new_listings_that_match_nothing_old_are_a_new_product(world, context):
    before = grown(world).clusters(context)
    after = (
        world.listing("n1", "n1")
        .listing("n2", "n2")
        .match("n1", "n2")
        .clusters(context, attach=True)
    )
    assert after["n1"] == after["n2"] == 2
    assert {name: after[name] for name in before} == before
    assert world.group(context, attach=True).facts["births"] == 0


def test_a_bridge_does_not_join_two_old_clusters(world, context):
    grown(world)
    for seller in "123":
        world.listing("b" + seller, "b" + seller)
    before = world.match("b1", "b2").match("b2", "b3").match("b1", "b3").clusters(context)
    world.listing("n", "n")
    for other in ("a1", "a2", "a3", "b1", "b2", "b3"):
        world.match("n", other, 6 if other[0] == "a" else 5)
    after = world.clusters(context, attach=True)
    assert {name: after[name] for name in before} == before
    assert after["n"] == before["a1"]


def test_corrections_move_what_attaching_would_keep(world, context):
    grown(world).clusters(context)
    clusters = world.correct("different", "a1", "a2").clusters(context, attach=True)
    assert clusters["a1"] != clusters["a2"]
