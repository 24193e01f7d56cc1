"""`train`: models that are trained on a category's own pictures."""

import logging
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from clustering_pipeline.cli.place import find_project, working
from clustering_pipeline.cli.terminal import terminal_of
from clustering_pipeline.core.errors import InputError
from clustering_pipeline.project import Project

train_app = typer.Typer(help="Train a model on a category's own pictures.", no_args_is_help=True)


@train_app.command("autoencoder")
def autoencoder(
    context: typer.Context,
    category: Annotated[
        str, typer.Option(metavar="NAME", help="The category whose kept crops are learnt from.")
    ],
    dimension: Annotated[int, typer.Option(min=2, help="Length of the vectors.")] = 256,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the crops.")] = 20,
) -> None:
    """Train the encoder `autoencoder` on the kept crops of a category that was run before."""
    from clustering_pipeline.core.text import category_slug
    from clustering_pipeline.stages.embedding import Training, train_autoencoder

    terminal, slug = terminal_of(context), category_slug(category)
    with working(find_project(), terminal) as project:
        stage = project.context(slug, logging.getLogger(__name__))
        folder = (stage.hardware.models_folder or Path("models")) / f"autoencoder-{slug}"
        training = Training(dimension=dimension, epochs=epochs)
        losses = train_autoencoder(
            _kept_crops(project, slug), folder, training, stage.hardware, stage.progress
        )
    settings = f"embeddings.encoder=autoencoder, embeddings.model={folder}"
    rows = [
        ("folder", folder),
        ("loss", f"{losses[0]:.4f} → {losses[-1]:.4f}"),
        ("curve", folder / "loss.svg"),
        ("use it with", settings),
    ]
    terminal.details(f"Trained on {slug}", rows)
    terminal.emit({"category": slug, "folder": str(folder), "losses": losses})


def _kept_crops(project: Project, slug: str) -> list[NDArray[np.uint8]]:
    from clustering_pipeline.imaging import load_crop

    clean = project.manifests.read("clean_images", slug)
    if clean is None:
        raise InputError(
            f"The category {slug} has no clean_images yet. Run it first: `clustering-pipeline run "
            f"CATALOGUE --category {slug}`."
        )
    keepers = clean[clean["status"] == "kept"].sort_values("crop_sha256")
    boxes = keepers[["x0", "y0", "x1", "y1"]].to_numpy(np.int64).tolist()
    places = zip(keepers["image_sha256"], boxes, keepers["mask"], strict=True)
    return [load_crop(project.blobs, image, tuple(box), mask=mask) for image, box, mask in places]
