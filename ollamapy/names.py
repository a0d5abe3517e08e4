"""Model names and digests: parse, print, to a path. Nothing else may take a name or a digest apart.

    [scheme://][host/][namespace/]model[:tag]
    oci://host/repository[:tag]                 an artefact, whose repository may have any number of parts

Each part has its own alphabet and length (`_PARTS`); a part that breaks it makes the whole name invalid, so a
name that parsed can be joined to a folder without leaving it.
"""

import re
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Self

from ollamapy.errors import InvalidDigest, InvalidInput, InvalidName, Refused

DEFAULT_HOST = "registry.ollama.ai"
DEFAULT_NAMESPACE = "library"
DEFAULT_TAG = "latest"

_PARTS = {
    "host": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}\Z"),
    "namespace": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}\Z"),
    "model": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}\Z"),
    "tag": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}\Z"),
}
_OCI = "oci://"
_REPOSITORY = re.compile(r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*\Z")
_DIGEST = re.compile(r"sha256[:-]([0-9a-fA-F]{64})\Z")


@dataclass(frozen=True, slots=True)
class ModelName:
    """A complete model name. Equality is by spelling; `key` ignores ASCII case as the store does."""

    host: str
    namespace: str
    model: str
    tag: str
    scheme: str = "https"
    place: str = ""
    """The repository in its registry when that is not `namespace/model`: artefacts of others have such."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """The name that `text` spells, with defaults filled in. Raises InvalidName."""
        name = cls._artefact(text) if text.startswith(_OCI) else cls._split(text)
        if not name.scheme:
            raise InvalidName("invalid model name", hint=f"the scheme of {text!r} is empty")
        for part, pattern in _PARTS.items():
            if not pattern.match(getattr(name, part)):
                raise InvalidName("invalid model name", hint=f"the {part} of {text!r} is not valid")
        return name

    @classmethod
    def parse_local(cls, text: str) -> Self:
        """As `parse`, for looking a model up: white space and a `:local` suffix go first; cloud names are Refused."""
        return cls.parse(strip_source(text))

    @classmethod
    def from_path(cls, parts: tuple[str, ...]) -> Self:
        """The name of the manifest at `host/namespace/model/tag` below the manifests folder."""
        if len(parts) != 4:
            raise InvalidName("invalid model name")
        host, namespace, model, tag = parts
        return cls.parse(f"{host}/{namespace}/{model}:{tag}")

    @classmethod
    def _artefact(cls, text: str) -> Self:
        """The name that an artefact gets here. Its repository is kept beside it when the name cannot hold it."""
        path, tag = text.removeprefix(_OCI), DEFAULT_TAG
        if path.rfind(":") > path.rfind("/"):
            path, _, tag = path.rpartition(":")
        host, _, repository = path.partition("/")
        if len(repository) > 255 or not _REPOSITORY.match(repository):
            raise InvalidName("invalid model name", hint="wanted oci://HOST/REPOSITORY[:TAG], in lower case")
        *above, model = repository.split("/")
        if not above and host == "docker.io":
            repository = f"{DEFAULT_NAMESPACE}/{model}"
        namespace = "-".join(above).replace(".", "-") or DEFAULT_NAMESPACE
        place = "" if repository == f"{namespace}/{model}" else repository
        return cls(host, namespace, model, tag, "oci", place)

    @classmethod
    def _split(cls, text: str) -> Self:
        scheme, tag = "https", DEFAULT_TAG
        if text.rfind(":") > text.rfind("/"):
            text, _, tag = text.rpartition(":")
        rest, slash, model = text.rpartition("/")
        if not slash:
            return cls(DEFAULT_HOST, DEFAULT_NAMESPACE, model, tag)
        host, slash, namespace = rest.rpartition("/")
        if not slash:
            return cls(DEFAULT_HOST, namespace, model, tag)
        if "://" in host:
            scheme, _, host = host.partition("://")
        return cls(host, namespace, model, tag, scheme)

    @property
    def full(self) -> str:
        """`host/namespace/model:tag`."""
        return f"{self.host}/{self.namespace}/{self.model}:{self.tag}"

    @property
    def short(self) -> str:
        """The shortest spelling that parses back, always with the tag."""
        if self.host.lower() != DEFAULT_HOST:
            return self.full
        if self.namespace.lower() != DEFAULT_NAMESPACE:
            return f"{self.namespace}/{self.model}:{self.tag}"
        return f"{self.model}:{self.tag}"

    @property
    def key(self) -> str:
        """Two names are one model when their keys are equal."""
        return self.full.lower()

    @property
    def path(self) -> PurePosixPath:
        """`host/namespace/model/tag`, relative to the manifests folder."""
        return PurePosixPath(self.host, self.namespace, self.model, self.tag)

    @property
    def repository(self) -> str:
        """What its registry calls it: `namespace/model`, but for artefacts of others."""
        return self.place or f"{self.namespace}/{self.model}"

    @property
    def served_repository(self) -> str:
        """What an ollamapy that serves its store calls it: with the host in front when it is not the default one."""
        repository = f"{self.namespace}/{self.model}"
        return repository if self.host.lower() == DEFAULT_HOST else f"{self.host}/{repository}"

    def with_parts(self, host: str, namespace: str, model: str, tag: str) -> Self:
        """The same name in another spelling of its parts."""
        return replace(self, host=host, namespace=namespace, model=model, tag=tag)

    def __str__(self) -> str:
        return self.short


def strip_source(text: str) -> str:
    """`text` without white space and a trailing `:local`. Raises Refused for cloud names, InvalidInput for both."""
    name = text.strip()
    head, colon, last = name.rpartition(":")
    is_tag = bool(colon) and "/" not in last
    if is_tag and last.lower() == "local":
        inner = head.rpartition(":")[2].lower()
        if ":" in head and (inner == "cloud" or inner.endswith("-cloud")):
            raise InvalidInput(f'use either :local or :cloud, not both: "{name}"')
        return head
    if is_tag and (last.lower() == "cloud" or last.lower().endswith("-cloud")):
        if head.rpartition(":")[2].lower() == "local" and ":" in head:
            raise InvalidInput(f'use either :local or :cloud, not both: "{name}"')
        raise Refused("ollama cloud is disabled: remote model is unavailable")
    return name


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A sha256 digest."""

    hex: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `sha256:` or `sha256-` and 64 hex digits of either case. Raises InvalidDigest."""
        match = _DIGEST.match(text)
        if not match:
            raise InvalidDigest("invalid digest format", hint="a digest is sha256: and 64 hex digits")
        return cls(match[1].lower())

    @property
    def filename(self) -> str:
        """The blob's file name, `sha256-<hex>`."""
        return f"sha256-{self.hex}"

    @property
    def short(self) -> str:
        """The first 12 hex digits, as lists and progress lines show."""
        return self.hex[:12]

    def __str__(self) -> str:
        return f"sha256:{self.hex}"
