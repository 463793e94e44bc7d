"""The unified model: what a message, a revision and a note look like, as pydantic models.

The vocabulary is OpenTelemetry's GenAI message schema (role and parts), extended. The models are the
specification and are used at the edges (data given by a program, `verify`, the JSON Schema in `docs/`); inside,
the same data moves as plain dictionaries, because building objects for every message would cost more than
everything else together. So nothing on a hot path imports this module.

A field with default None is one that may be absent; it is never null, `Message.parent` apart. Numbers and strings are
not converted into each other.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    NonNegativeInt,
    StringConstraints,
    Tag,
    TypeAdapter,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Role = Literal["system", "user", "assistant", "tool"]
Kind = Literal["prefill", "compaction", "meta", "sidechain", "switch", "error", "context"]
Time = Annotated[
    str,
    StringConstraints(
        pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
        r"[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
    ),
]
"""RFC 3339 with an offset; a local time without one is never written here."""
Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
Name = Annotated[str, StringConstraints(min_length=1)]
Parent = Annotated[str | None, WithJsonSchema({"type": ["string", "null"]})]
PARTS = ("text", "reasoning", "tool_call", "tool_call_response", "blob", "uri", "file", "record")
"""The types of parts that the model knows."""


class Closed(BaseModel):
    """Base of what holds the named fields and no others."""

    model_config = ConfigDict(extra="forbid", strict=True)
    nullable: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _absent_is_not_null(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for name, field in cls.model_fields.items():
                key = field.alias or name
                if key in data and data[key] is None and not field.is_required() and name not in cls.nullable:
                    raise ValueError(f"{key} is null; leave it out")
        return data


class Open(Closed):
    """Base of what may carry further fields of its source, verbatim."""

    model_config = ConfigDict(extra="allow", strict=True)


class StringObject(Closed):
    """A large string in a stored message: its UTF-8 bytes are the object of that name."""

    object: Sha256 = Field(alias="$object")
    bytes: NonNegativeInt


Text = str | StringObject


class TextPart(Open):
    """What was said."""

    type: Literal["text"]
    content: Text


class ReasoningPart(Open):
    """What the model thought; encrypted reasoning is in `signature` and its content is empty."""

    type: Literal["reasoning"]
    content: Text
    signature: Text | None = None


class ToolCallPart(Open):
    """A tool's use, asked for by the model. `arguments` as the source has them: an object, or its JSON text."""

    type: Literal["tool_call"]
    id: str
    name: str
    arguments: Any


class ToolCallResponsePart(Open):
    """What a tool gave back. `id` is the call's, empty when the source has lost it."""

    type: Literal["tool_call_response"]
    id: str
    response: Any
    is_error: Literal[True] | None = None


class BlobPart(Open):
    """An image, sound or other bytes: base64 in `data` when imported, an `object` of the store when stored."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["data"]}, {"required": ["object"]}]})

    type: Literal["blob"]
    modality: str
    mime_type: str
    data: Text | None = None
    object: Sha256 | None = None
    bytes: NonNegativeInt | None = None

    @model_validator(mode="after")
    def _has_one_content(self) -> Self:
        if (self.data is None) == (self.object is None):
            raise ValueError("a blob has either data or an object")
        return self


class UriPart(Open):
    """A link to an image or other bytes that the source does not hold itself."""

    type: Literal["uri"]
    uri: Text
    modality: str | None = None


class FilePart(Open):
    """A file known to the provider or the tool, by whatever names it there."""

    type: Literal["file"]


class RecordPart(Closed):
    """A record of the source that is not conversation or was not understood, verbatim."""

    type: Literal["record"]
    record: dict[str, Any]


class OtherPart(Open):
    """A part of a type that the model does not know, verbatim."""

    type: Annotated[str, WithJsonSchema({"type": "string", "not": {"enum": list(PARTS)}})]


def _part_kind(part: Any) -> str:
    kind = part.get("type") if isinstance(part, dict) else getattr(part, "type", None)
    return kind if isinstance(kind, str) and kind in PARTS else "other"


Part = Annotated[
    Annotated[TextPart, Tag("text")]
    | Annotated[ReasoningPart, Tag("reasoning")]
    | Annotated[ToolCallPart, Tag("tool_call")]
    | Annotated[ToolCallResponsePart, Tag("tool_call_response")]
    | Annotated[BlobPart, Tag("blob")]
    | Annotated[UriPart, Tag("uri")]
    | Annotated[FilePart, Tag("file")]
    | Annotated[RecordPart, Tag("record")]
    | Annotated[OtherPart, Tag("other")],
    Discriminator(_part_kind),
]
"""One part of a message; which kind it is follows from its `type`."""


class Usage(Closed):
    """What an answer has cost, in tokens and in millionths of a US dollar; only non-zero figures are written.

    `input_tokens` includes what was read from and written to the cache, `output_tokens` includes reasoning. Added up
    over a session's messages this is the true bill. `estimated`: the source has not billed these figures."""

    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_read_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    reasoning_tokens: Count | None = None
    cost_microusd: Count | None = None
    estimated: Literal[True] | None = None


class Message(Closed):
    """One message. `parent` absent means the message before it in the session, null means none.

    `x` holds every field of the source's record that the model has no name for; a time without an offset is in
    `x["time"]` as `{"raw", "precision", "zone"}`. Without `kind` it is an ordinary turn."""

    nullable: ClassVar[frozenset[str]] = frozenset({"parent"})

    id: Name
    parent: Parent = None
    role: Role
    time: Time | None = None
    model: str | None = None
    provider: str | None = None
    parts: list[Part]
    usage: Usage | None = None
    finish_reason: str | None = None
    kind: Kind | None = None
    x: dict[str, Any] | None = None


class Page(Closed):
    """A run of messages kept as an object: its name, how many messages, how many bytes."""

    id: Sha256
    n: Annotated[int, Field(ge=1)]
    bytes: NonNegativeInt


class Chunk(Open):
    """A piece of an original, or a large value, kept as an object."""

    id: Sha256
    bytes: NonNegativeInt


class Original(Open):
    """The exact bytes of an imported file, as chunks in order; or the large value that lists the chunks of a file of
    many sessions. `name` says that it belongs to the file before it, and where it lay relative to that."""

    sha256: Sha256
    bytes: NonNegativeInt
    chunks: list[Chunk] | None = None
    chunks_object: Sha256 | None = None
    name: Name | None = None

    @model_validator(mode="after")
    def _has_chunks(self) -> Self:
        if (self.chunks is None) == (self.chunks_object is None):
            raise ValueError("either chunks or chunks_object")
        return self


class Counts(Closed):
    """How many messages, how many bytes their lines have, and how many messages each role has."""

    messages: NonNegativeInt
    bytes: NonNegativeInt
    by_role: dict[Role, NonNegativeInt]


class Fork(Closed):
    """Where a session branched off another: its key and, when known, the last message they share."""

    key: Name
    message: str | None = None
    relation: Literal["fork", "subagent", "resume"] | None = None


class ImportedBy(Open):
    """The importer that has read the session, and its version."""

    name: Name
    version: NonNegativeInt


class Issue(Closed):
    """Something the source had already lost or contradicts itself about, and how often."""

    code: Name
    n: Annotated[int, Field(ge=1)]
    note: str | None = None


class Revision(Open):
    """One state of one session; written once and named by its digest. Messages are the pages', then `messages`."""

    format: Literal["sessionstore/session"]
    v: Literal[1]
    key: Name
    source: Name
    native_id: Name
    aliases: list[str] | None = None
    title: str | None = None
    created_at: Time | None = None
    updated_at: Time | None = None
    cwd: str | None = None
    project: str | None = None
    git: dict[str, str] | None = None
    models: list[str] | None = None
    parents: list[Sha256] | None = None
    forked_from: Fork | None = None
    active_leaf: str | None = None
    system: list[Any] | None = None
    tools: list[Any] | None = None
    pages: list[Page]
    messages: list[Message]
    counts: Counts
    usage: Usage | None = None
    blobs: list[Chunk] | None = None
    originals: list[Original] | None = None
    importer: ImportedBy | None = None
    issues: list[Issue] | None = None
    x: dict[str, Any] | None = None


class Tombstone(Closed):
    """When, and perhaps why, a session was purged."""

    time: Time
    reason: str | None = None


class Note(Closed):
    """What a user says about a session: one field of it. Of several notes on a field the latest counts, by time and
    then by name; a null takes the field back."""

    format: Literal["sessionstore/note"]
    v: Literal[1]
    key: Name
    field: Literal["title", "tags", "star", "archived", "state", "tombstone"]
    value: Annotated[
        Any,
        WithJsonSchema(
            {
                "anyOf": [
                    {"type": "string", "minLength": 1},
                    {"type": "array", "items": {"type": "string", "minLength": 1}},
                    {"type": "boolean"},
                    {"type": "object", "required": ["time"]},
                    {"type": "null"},
                ]
            }
        ),
    ]
    time: Time

    @model_validator(mode="after")
    def _value_fits_field(self) -> Self:
        if self.value is not None:
            _NOTE_VALUES[self.field].validate_python(self.value, strict=True)
        return self


_NOTE_VALUES: dict[str, TypeAdapter[Any]] = {
    "title": TypeAdapter(Name),
    "tags": TypeAdapter(list[Name]),
    "star": TypeAdapter(bool),
    "archived": TypeAdapter(bool),
    "state": TypeAdapter(Literal["created", "active", "paused", "completed", "archived", "retrieved", "expired"]),
    "tombstone": TypeAdapter(Tombstone),
}


class _Schema(GenerateJsonSchema):
    """Says in JSON Schema that an optional field may be absent, which pydantic would write as null."""

    def nullable_schema(self, schema: Any) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: Any) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])


def json_schema() -> dict[str, Any]:
    """The model as one JSON Schema (draft 2020-12): a document is a message, a revision or a note."""
    documents = (Message, Revision, Note)
    _, schema = models_json_schema([(model, "validation") for model in documents], schema_generator=_Schema)
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        "title": "sessionstore documents, format version 1",
        "anyOf": [{"$ref": f"#/$defs/{model.__name__}"} for model in documents],
        **schema,
    }
