"""Downloads single files of a repository on the Hugging Face hub into Hugging Face's own cache.

`huggingface_hub` does the work, so `HF_HOME`, `HF_ENDPOINT`, `HF_HUB_OFFLINE` and `HF_TOKEN` have their usual meaning,
and a broken download continues where it stopped. If the hub cannot be reached, the files in the cache are used. One
request finds that out: the library itself would try for 20 seconds and more. The library sends no token to another host
after a redirect.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from sftframe import ModelError, why_unreachable

CONFIG = "config.json"


class MissingFileError(Exception):
    """A file that is not in the repository, as far as is known.

    Args:
        is_certain: the hub has said so.
    """

    def __init__(self, name: str, *, is_certain: bool = False) -> None:
        super().__init__(name)
        self.is_certain = is_certain


class Repository:
    """A repository at one commit: the one that its revision has now, or had when it was fetched last.

    Args:
        name: `OWNER/NAME`.
        revision: a branch, a tag or a commit.
        instead: what to do where the hub cannot be reached, as the end of a message.
    """

    def __init__(self, name: str, revision: str = "main", *, instead: str) -> None:
        self.name = name
        self._asked_for = revision
        self._instead = instead
        self._commit: str | None = None

    def __str__(self) -> str:
        return f"{self.name} on Hugging Face"

    @property
    def commit(self) -> str:
        """One commit for all files, asked for once; a file in the cache is never downloaded again for it."""
        return self._commit or self.folder_with(CONFIG).name

    def folder_with(self, *names: str) -> Path:
        """The cache's folder, with these files in it.

        Raises:
            ModelError: one of them is not there; the message says why and what to do.
        """
        for name in names:
            try:
                path = self.fetch(name)
            except MissingFileError as error:
                if error.is_certain:
                    raise ModelError(self._absent(name)) from error
                raise self._explained(name, error.__cause__ or error) from error
        return path.parent

    def fetch(self, name: str) -> Path:
        """One file, in the cache.

        Raises:
            MissingFileError: the repository does not have it, or the cache does not and the hub cannot be reached.
            ModelError: it cannot be fetched.
        """
        if self._commit is None and name != CONFIG:
            self.folder_with(CONFIG)
        path = self._fetched(name, self._commit or self._asked_for)
        self._commit = path.parent.name
        return path

    def _fetched(self, name: str, revision: str) -> Path:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, RemoteEntryNotFoundError

        is_commit = _COMMIT.fullmatch(revision) is not None
        cached = self.cached(name, revision)
        if cached is not None and (is_commit or self._why_unreachable is not None):
            return cached
        if self._is_known_to_be_missing(name, revision):
            raise MissingFileError(name, is_certain=True)
        if self._why_unreachable is not None:
            raise MissingFileError(name)
        try:
            with _without_their_words():
                return Path(hf_hub_download(self.name, name, revision=revision))
        except EntryNotFoundError as error:
            raise MissingFileError(name, is_certain=isinstance(error, RemoteEntryNotFoundError)) from error
        except _transport_errors() as error:
            raise self._explained(name, error) from error

    def has(self, name: str) -> bool:
        """Whether the repository has a file; it is not downloaded. False as well where nobody can be asked.

        Raises:
            ModelError: the hub refuses to say.
        """
        from huggingface_hub import get_hf_file_metadata, hf_hub_url
        from huggingface_hub.errors import EntryNotFoundError, OfflineModeIsEnabled

        if self.cached(name, self.commit) is not None:
            return True
        if self._is_known_to_be_missing(name, self.commit) or self._why_unreachable is not None:
            return False
        try:
            with _without_their_words():
                get_hf_file_metadata(hf_hub_url(self.name, name, revision=self.commit))
        except (EntryNotFoundError, OfflineModeIsEnabled):
            return False
        except _transport_errors() as error:
            raise self._explained(name, error) from error
        return True

    def cached(self, name: str, revision: str | None = None) -> Path | None:
        """The file in the cache, at the last known commit of the revision; nothing is downloaded.

        `hf_hub_download` makes requests even when it may use the cache only.
        """
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(self.name, name, revision=revision or self._asked_for)
        return Path(found) if isinstance(found, str) else None

    def _is_known_to_be_missing(self, name: str, revision: str) -> bool:
        """Whether the hub has said before that this commit does not have the file."""
        from huggingface_hub import _CACHED_NO_EXIST, try_to_load_from_cache

        is_commit = _COMMIT.fullmatch(revision) is not None
        return is_commit and try_to_load_from_cache(self.name, name, revision=revision) is _CACHED_NO_EXIST

    @cached_property
    def _why_unreachable(self) -> str | None:
        """Why the hub does not answer; None = it does, or requests are not allowed."""
        from huggingface_hub import constants

        return None if constants.HF_HUB_OFFLINE else why_unreachable(constants.ENDPOINT)

    def _absent(self, name: str) -> str:
        from huggingface_hub import constants

        listed = f"{constants.ENDPOINT}/{self.name}/tree/{self._asked_for}"
        if name == CONFIG:
            return (
                f"{self} has no {CONFIG}: it is no whole model of transformers (an adapter or a GGUF file has none); "
                f"name the model that it was made from; {listed} lists what it has"
            )
        return f"cannot fetch {name} of {self.name}: it has no such file; {listed} lists what it has; {self._instead}"

    def _explained(self, name: str, error: BaseException) -> ModelError:
        from huggingface_hub import constants, errors

        if isinstance(error, errors.LocalEntryNotFoundError) and error.__cause__ is not None:
            error = error.__cause__  # why the hub gave nothing; their own words do not say it
        page = f"{constants.ENDPOINT}/{self.name}"
        if isinstance(error, errors.GatedRepoError):
            return ModelError(
                f"{self} is gated: accept its conditions at {page}, and give the token of that account in HF_TOKEN or "
                "with `hf auth login`"
            )
        if isinstance(error, errors.RepositoryNotFoundError):
            return ModelError(
                f"there is no repository {self.name!r} on {constants.ENDPOINT}, or it is private: check the name "
                "(OWNER/NAME), or give a token that may read it in HF_TOKEN"
            )
        if isinstance(error, errors.RevisionNotFoundError):
            return ModelError(f"{self} has no revision {self._asked_for!r}; {page} lists its branches and tags")
        cause = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        if self._why_unreachable is not None:
            cause = f"{constants.ENDPOINT} cannot be reached: {self._why_unreachable}"
        return ModelError(f"cannot fetch {name} of {self.name} from Hugging Face ({cause}); {self._instead}")


_COMMIT = re.compile(r"[0-9a-f]{40}")


@contextmanager
def _without_their_words() -> Iterator[None]:
    """Silence the library's own messages about its attempts; sftframe reports the result in one line."""
    from huggingface_hub.utils import logging as theirs

    if os.environ.get("HF_HUB_VERBOSITY"):  # the user wants to read them
        yield
        return
    before = theirs.get_verbosity()
    theirs.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        theirs.set_verbosity(before)


def _transport_errors() -> tuple[type[Exception], ...]:
    """Errors that `huggingface_hub` raises when a connection fails: those of its HTTP library.

    That library raises ValueError and ImportError where it cannot use a proxy of the environment.
    """
    from huggingface_hub.errors import HfHubHTTPError

    return (OSError, ValueError, ImportError, *(b for b in HfHubHTTPError.__bases__ if issubclass(b, Exception)))
