import xml.etree.ElementTree as ElementTree

from clustering_pipeline.evaluation import draw_confusion


def test_every_meeting_of_product_and_cluster_is_a_cell():
    drawing = ElementTree.fromstring(
        draw_confusion(["a", "a", "a", "<b>", "<b>", "c"], [1, 1, 2, 2, 2, -1])
    )
    counts = sorted(int(title.text) for title in drawing.iter("{http://www.w3.org/2000/svg}title"))
    assert counts == [1, 1, 2, 2]
    assert "<b>" in [text.text for text in drawing.iter("{http://www.w3.org/2000/svg}text")]


def test_of_many_products_those_with_errors_are_shown():
    true = [f"p{index // 2:03d}" for index in range(400)]
    predicted = [*range(200, 250), *(index // 2 for index in range(50, 400))]
    drawing = draw_confusion(true, predicted)
    assert "60 of 200 products" in drawing
    assert all(f"p{index:03d}" in drawing for index in range(25))
