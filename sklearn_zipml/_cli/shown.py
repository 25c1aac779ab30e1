"""Results as lines that people read."""

from .._packed_matrix import readable_bytes


def table(result, indent=""):
    """Lines of names and values; names are those of the JSON, with spaces."""
    width = max(map(len, result), default=0)
    lines = []
    for name, value in result.items():
        label = name.replace("_", " ")
        if isinstance(value, dict):
            lines += [f"{indent}{label}", table(value, indent + "  ")]
        elif value is not None:
            lines.append(f"{indent}{label:<{width}}  {_shown(name, value)}")
    return "\n".join(lines)


def _shown(name, value):
    if name == "bytes":
        return f"{value} ({readable_bytes(value)})"
    if isinstance(value, list):
        return ", ".join(map(str, value[:10])) + (f", ... ({len(value)} in all)" if len(value) > 10 else "")
    return f"{value:,}" if isinstance(value, int) and value >= 10000 else str(value)
