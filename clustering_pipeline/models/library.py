"""The library that most models are loaded with."""

from typing import Any


def quiet_transformers() -> Any:
    """Return Hugging Face transformers, silent but for errors: its notes and progress bars would mix with the run's own."""
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers
