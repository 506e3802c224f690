"""Classify and explain why a benchmark failed: by its own failures or by exceptions. Standard library only."""

from __future__ import annotations

import errno
import re
import traceback

from .protocol import Failure, make_failure

NO_SPACE = "No space left on device"
DAMAGED_CACHE = "the cache is damaged:"
"""The beginning of the message of a damaged cache: TensorFlow passes on only an exception's text."""

_UNREADABLE = (
    "Unknown image file format",
    "Invalid JPEG",
    "Invalid PNG",
    "Trying to decode",
    "Failed to decode",
    "crop window",
    "cannot identify image file",
    "image file is truncated",
    "broken data stream",
    "Expected image",
    "Input is empty",
    DAMAGED_CACHE,
)
_GPU_MEMORY = ("device:GPU", "GPU_0_bfc", "Out of memory while trying to allocate", "CUDA_ERROR_OUT_OF_MEMORY")


class BenchmarkFailure(Exception):
    """Raised for a failure that the payload itself detects.

    ``kind`` is one of ``protocol.FAILURE_KINDS``; the message says what to do.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def classify(error: BaseException) -> str:
    """Return the kind of a failure, from the exception alone.

    TensorFlow reports a full disk, exhausted host memory and exhausted GPU memory all as ``ResourceExhaustedError``;
    the message distinguishes them.
    """
    if isinstance(error, BenchmarkFailure):
        return error.kind
    text = str(error)
    names = {kind.__name__ for kind in type(error).__mro__}
    if NO_SPACE in text or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return "disk_full"
    if isinstance(error, MemoryError):
        return "oom"
    if "ResourceExhaustedError" in names or "RESOURCE_EXHAUSTED" in text or "CUDA_ERROR_OUT_OF_MEMORY" in text:
        return "gpu_oom" if any(mark in text for mark in _GPU_MEMORY) else "oom"
    if "UnidentifiedImageError" in names or any(mark in text for mark in _UNREADABLE):
        return "data"
    if isinstance(error, FileNotFoundError) or "NotFoundError" in names:
        return "data"
    return "error"


def describe(
    error: BaseException, *, phase: str | None = None, epoch: int | None = None, step: int | None = None
) -> Failure:
    """Return the fields of ``failure.json``: the kind, where it happened, and the traceback as lines."""
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    return make_failure(
        classify(error),
        str(error) or type(error).__name__,
        phase=phase,
        error=error,
        traceback="".join(lines).splitlines(),
        epoch=epoch,
        step=step,
    )


_HALF_READ = 2000
MOST_WORDS, MOST_OWN_WORDS = 240, 900
"""Most characters that are shown of a foreign message, and of our own."""
_NOISE = (
    re.compile(r"\{\{[^{}]*\}\}"),
    re.compile(r"\[\[[^\[\]]*\]\]"),
    re.compile(r"\[Op:[^\]]*\]( name:)?"),
    re.compile(r"Error in user-defined function passed to \S+ transformation with iterator: \S+: "),
    re.compile(r" for '[^']*'( \(op: [^)]*\))?( with input shapes: .*)?"),
    re.compile(r"\\x1b\[[\d;]*[A-Za-z]"),
    re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|[abfnrtv0])"),
    re.compile(r"(?<!\d)\d+ root error\(s\) found\.|\(\d+\) \w+: "),
)
"""What TensorFlow adds to a message: nodes, operations, iterators; and escaped control characters."""
_MISSING = re.compile(
    r"(?<![^\s;'\"\]])(?P<path>[^\s;'\"\]]+); No such file|No such file or directory: '(?P<quoted>[^']+)'"
)
_INNER = re.compile(
    r"^[ \t]*(?P<type>\w*(?:Error|Exception|Warning|Iteration|Interrupt)): ?(?P<text>.*)$", re.MULTILINE
)
_SHAPE = r"[\[(][\dNone?, ]*[\])]"
_KNOWN = tuple(
    (re.compile(pattern, re.DOTALL), words)
    for pattern, words in (
        (
            rf"Cannot batch tensors with different shapes.*had shape ({_SHAPE}).*had shape ({_SHAPE})",
            "its images have different shapes, {0} and {1}, so they cannot be batched (are all of them resized?)",
        ),
        (
            r"all input arrays must have the same shape|inhomogeneous shape",
            "its images have different shapes, so they cannot be batched (are all of them resized?)",
        ),
        (
            rf"Cannot add tensor to the batch.*\[tensor\]: ({_SHAPE}), \[batch\]: ({_SHAPE})",
            "its images have different shapes, {1} and {0}, so they cannot be batched (are all of them resized?)",
        ),
        (
            rf"must be equal, but are .* Shapes are ({_SHAPE}) and ({_SHAPE})",
            "two shapes do not match: {0} and {1}",
        ),
        (
            rf"Shape of tensor \S+ ({_SHAPE}) is not compatible with expected shape ({_SHAPE})",
            "an image has the shape {0}, but {1} was expected",
        ),
        (
            rf"yielded an element of shape ({_SHAPE}) where an element of shape ({_SHAPE}) was expected",
            "its output has the shape {0}, but {1} was declared",
        ),
        (
            r"expected to contain (\d+) elements but contained at least (\d+)",
            "it delivers more batches than the data set has, {1} or more instead of {0} (does it repeat without end?)",
        ),
        (
            r"expected to contain (\d+) elements but contained only (\d+)",
            "it delivers fewer batches than the data set has: {1} instead of {0}",
        ),
        (
            r"could not be converted to the expected type. The expected type was (\w+)",
            "its output has another type than the declared {0}",
        ),
        (
            r"conversion requested dtype (\w+) for Tensor with dtype (\w+)",
            "its types do not match: {1} where {0} is needed",
        ),
    )
)


def plain_text(text: str, most: int = MOST_WORDS) -> str:
    """Return a message as one printable line of at most ``most`` characters, without TensorFlow's internal details."""
    text = _without_noise(_cut(text))
    words = "".join(sign if sign.isprintable() else " " for sign in text).split()
    line = " ".join(words)
    return line if len(line) <= most else line[: most - 1] + "…"


def _cut(text: str) -> str:
    """Return the beginning and end of a long text, since a message may have any length and is searched many times."""
    return text if len(text) <= 2 * _HALF_READ else text[:_HALF_READ] + "\n" + text[-_HALF_READ:]


def _without_noise(text: str) -> str:
    text = text.partition("Traceback (most recent call last)")[0].strip() or text
    for noise in _NOISE:
        text = noise.sub(" ", text)
    return text


def is_short(error: BaseException) -> bool:
    """Return whether a tf.data data set ended with fewer batches than it must have."""
    return "elements but contained only" in str(error)


def explain(error: BaseException) -> str:
    """Explain in one plain line why a loader failed: common faults in words, otherwise the exception itself."""
    return explain_text(type(error).__name__, str(error), classify(error))


def explain_text(name: str, text: str, kind: str) -> str:
    """Explain in one plain line what an exception means; ``name`` is its type, empty for text that is plain already."""
    text = _cut(text)
    if name in ("", BenchmarkFailure.__name__):
        return plain_text(text, MOST_OWN_WORDS)
    for pattern, words in _KNOWN:
        if found := pattern.search(text):
            return words.format(*found.groups())
    inner = list(_INNER.finditer(_without_noise(text)))
    if kind == "data":
        missing = _MISSING.search(text)
        if missing:
            place = "/".join((missing["path"] or missing["quoted"]).split("/")[-2:])
            return f"it looks for a file that does not exist: {plain_text(place)}"
        return f"it cannot read an image: {plain_text(text)}"
    if inner:  # a Python exception inside a TensorFlow exception
        name, text = inner[-1]["type"], inner[-1]["text"]
    said = plain_text(text)
    return f"it raised {name}: {said}" if said and said != name else f"it raised {name}"
