"""Takes a category out of an installation: one that was made by mistake, or is no longer wanted."""

import shutil

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.project import Project
from clustering_pipeline.storage import FileTree, layout


def remove_category(project: Project, category: str) -> None:
    """Remove the record, the uploads, the manifests and the outputs of a category, and its
    partition; raises StageError while somebody works on it.

    What was said of it stays in the log, its numbers stay taken, and its pictures stay until the
    storage is pruned.
    """
    from clustering_pipeline.orchestration import forget_category, open_instance

    home = project.home
    with home.working_on(category) as is_mine, home.using_storage():
        if not is_mine:
            raise StageError(
                f"Somebody works on the category {category}. Wait until that has ended; nothing "
                f"was removed."
            )
        with open_instance(home) as instance:
            forget_category(instance, category)
        project.sources.remove(category)
        project.retired.restore(category)
        project.manifests.forget(category)
        _remove_folder(project.outputs, category)
        shutil.rmtree(home.path / layout.UPLOADS / category, ignore_errors=True)


def _remove_folder(files: FileTree, folder: str) -> None:
    place = files.location(folder)
    if files.filesystem.exists(place):
        files.filesystem.rm(place, recursive=True)
