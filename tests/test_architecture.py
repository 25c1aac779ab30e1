"""The shape of the source: which folder imports which, no circles, no looking into others' private parts, and sizes.

Offenders that are known are listed, and an entry that offends no more has to go: the lists only shrink.
"""

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "sklearn_zipml"
MOST_LINES, MOST_FUNCTION_LINES, MOST_ARGUMENTS = 400, 60, 8
pytestmark = pytest.mark.skipif(not (PACKAGE / "csrc").is_dir(), reason="tests without the source beside them")

# What a folder, or a module outside of folders, may import besides itself: what all may, and rooms below.
FOR_ALL = {"_parameters", "_state", "_typing", "_underflow", "_version", "_warnings"}
SETTINGS = {"_scheme", "_seeds", "_feature_names"}  # which say what packing does, in numbers that the kernels have
PACKING = {"_kernels", "_storage", "_sources", "_quantization", "_packed_matrix", *SETTINGS}
MODELS = {"_solvers", *PACKING}
MAY_IMPORT = {
    "_kernels": set(),
    "_scheme": {"_kernels"},
    "_seeds": {"_kernels"},
    "_storage": {"_kernels", *SETTINGS},
    "_sources": {"_storage", *SETTINGS},
    "_quantization": {"_kernels", "_storage", "_sources", *SETTINGS},
    "_solvers": {"_kernels", "_storage", *SETTINGS},
    "_packed_matrix": PACKING,
    "_shards": MODELS - {"_sources"},
    "_estimators": MODELS - {"_sources"},
    "_inspection": {*MODELS, "_estimators"} - {"_sources"},
    "dask": {*MODELS, "_estimators", "_shards"} - {"_sources"},
    "_cli": {*MODELS, "_estimators", "_inspection"},
    "__main__": {"_cli"},
    "__init__": {"_kernels", "_packed_matrix", "_estimators", "_inspection"},
}

# Imports against that direction.
UPWARDS = set()
# Modules that import one another in a circle.
CIRCULAR = set()
# Private names of classes and modules in other folders, by the module that uses them.
PRIVATE = {}
LONG_FILES = {
    "tests/reference.py",  # the slow twin: it stays
}
LONG_FUNCTIONS = set()
MANY_ARGUMENTS = {
    # public, with the parameters of scikit-learn's constructors and displays, which are keywords
    "_inspection/bit_width_curve.py:BitWidthCurveDisplay.plot",
    "_inspection/recommend_bits.py:recommend_bits",
}


def python_files():
    """The modules of the package."""
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path):
    """The module's dotted name inside the package."""
    parts = list(path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def room_of(module):
    """The folder of a module, or the module itself outside of folders."""
    return module.split(".")[0]


@cache
def tree_of(path):
    """Its syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imports_of(path):
    """(module, name or None) pairs that a module imports from the package, in functions and for type checkers, too."""
    package = list(path.relative_to(PACKAGE).parts[:-1])
    todo = [tree_of(path)]
    while todo:
        node = todo.pop()
        todo.extend(ast.iter_child_nodes(node))
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1] + (node.module.split(".") if node.module else [])
            for alias in node.names:
                inner = ".".join([*base, alias.name])
                is_module = (PACKAGE / Path(*base, alias.name)).with_suffix(".py").exists() or is_compiled(inner)
                yield (inner, None) if is_module else (".".join(base) or "__init__", alias.name)


def is_compiled(module):
    """Whether a module is one of Cython's."""
    return PACKAGE.joinpath(*module.split(".")).with_suffix(".pyx").exists()


@cache
def graph():
    """Modules that each module imports; Cython's import only one another."""
    found = {}
    for path in python_files():
        found[name_of(path)] = {module for module, _ in imports_of(path)} - {name_of(path)}
    return found


def test_imports_go_one_way():
    """Every import goes to a folder below, also where it is inside a function."""
    against = set()
    for module, imported in graph().items():
        room = room_of(module)
        allowed = {room} | FOR_ALL | MAY_IMPORT.get(room, set())
        against |= {f"{module} -> {other}" for other in imported if room_of(other) not in allowed}
    assert against == UPWARDS


def circles():
    """Modules that can be reached from themselves."""
    imported = graph()

    def reachable(start):
        seen, todo = set(), list(imported.get(start, ()))
        while todo:
            module = todo.pop()
            if module not in seen:
                seen.add(module)
                todo.extend(imported.get(module, ()))
        return seen

    return {module for module in imported if module in reachable(module)}


def test_no_circles():
    """No module imports itself by way of others."""
    assert circles() == CIRCULAR


def is_private(name):
    """One underscore, as opposed to two on both sides."""
    return name.startswith("_") and not name.startswith("__")


def private_names(tree):
    """Private attributes that the classes of a module have, and private names at its top."""
    attributes, names = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and is_private(node.name):
            attributes.add(node.name)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_private(node.attr):
            attributes.add(node.attr)
        if isinstance(node, ast.ClassDef):
            attributes |= {name for name in class_names(node) if is_private(name)}
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(r"_\w+", node.value):
            attributes.add(node.value)  # in __slots__
    for node in tree.body:
        names |= {target.id for target in getattr(node, "targets", []) if isinstance(target, ast.Name)}
        names |= {node.name} if isinstance(node, (ast.FunctionDef, ast.ClassDef)) else set()
    return attributes, {name for name in names if is_private(name)}


def class_names(node):
    """Names that are assigned in the body of a class."""
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            yield statement.target.id
        for target in getattr(statement, "targets", []):
            if isinstance(target, ast.Name):
                yield target.id


def test_no_private_parts_of_others():
    """No underscored attribute of another folder's class is read, and no underscored name imported from there."""
    own, everywhere = defaultdict(set), set()
    for path in python_files():
        attributes, names = private_names(tree_of(path))
        own[room_of(name_of(path))] |= attributes | names
        everywhere |= attributes
    found = {}
    for path in python_files():
        module = name_of(path)
        room = room_of(module)
        read = {node.attr for node in ast.walk(tree_of(path)) if isinstance(node, ast.Attribute)}
        outside = {name for name in read if is_private(name) and name in everywhere - own[room]}
        outside |= {name for other, name in imports_of(path) if name and is_private(name) and room_of(other) != room}
        if outside:
            found[module] = sorted(outside)
    assert found == PRIVATE


def written_files():
    """Every file of code that somebody wrote."""
    patterns = (
        "sklearn_zipml/**/*.py",
        "sklearn_zipml/**/*.p[yx][xd]",
        "sklearn_zipml/csrc/**/*.[ch]",
        "tests/**/*.py",
    )
    patterns += ("tests/**/*.[ch]", "benchmarks/*.py", "examples/**/*.py", "doc/**/*.py", "*.py")
    return sorted({path for pattern in patterns for path in ROOT.glob(pattern)})


def test_files_are_short():
    """No file has more than 400 lines."""
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_bytes().splitlines()) for path in written_files()}
    assert {path for path, length in lengths.items() if length > MOST_LINES} == LONG_FILES


def functions_of_python(path):
    """(name, lines without the docstring, arguments, whether it is a public constructor) of every function."""
    todo = [(tree_of(path), "", False)]
    while todo:
        node, prefix, in_class = todo.pop()
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                todo.append((child, f"{prefix}{child.name}.", not is_private(child.name)))
            elif isinstance(child, ast.FunctionDef):
                named = child.args.posonlyargs + child.args.args + child.args.kwonlyargs
                count = len([argument for argument in named if argument.arg not in ("self", "cls")])
                yield f"{prefix}{child.name}", length_of(child), count, in_class and is_constructor(child)
                todo.append((child, f"{prefix}{child.name}.", False))
            else:
                todo.append((child, prefix, in_class))


def is_constructor(node):
    """Whether a method makes an object of its class."""
    return node.name == "__init__" or any(
        isinstance(d, ast.Name) and d.id == "classmethod" for d in node.decorator_list
    )


def length_of(node):
    """Lines of a function without those of its docstring."""
    first = node.body[0]
    has_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    docstring = first.end_lineno - first.lineno + 1 if has_docstring else 0
    return node.end_lineno - node.lineno + 1 - docstring


def functions_of_cython(path):
    """The same of a Cython file, by its indentation."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    # a header ends with a colon, and holds brackets
    header = re.compile(
        r"^( *)(?:def|cdef|cpdef) (?:[^\n(=]*?)(\w+)\(([^()]*(?:\([^()]*\)[^()]*)*)\)[^\n]*:\s*$", re.MULTILINE
    )
    for match in header.finditer(text):
        indent, first = len(match[1]), text.count("\n", 0, match.start())
        last, start = text.count("\n", 0, match.end()), first
        for k in range(last + 1, len(lines)):
            if lines[k].strip() and len(lines[k]) - len(lines[k].lstrip()) <= indent:
                break
            last = k if lines[k].strip() else last
        body = "\n".join(lines[start : last + 1])
        docstring = re.search(r'"""(.|\n)*?"""', body)
        length = last - start + 1 - (docstring[0].count("\n") + 1 if docstring else 0)
        arguments = [part for part in re.sub(r"\[[^\]]*\]", "", match[3]).split(",") if part.strip()]
        count = len([part for part in arguments if part.strip() not in ("self", "cls")])
        yield match[2], length, count, False


def functions_of_c(path):
    """The same of a C file, in the form that clang-format gives it."""
    text = path.read_text(encoding="utf-8")
    for match in re.finditer(r"^(\w[\w *]*?)\b(\w+)\(([^;{}]*?)\) \{\n((?:.*\n)*?)\}$", text, re.MULTILINE):
        if match[1].startswith(("typedef", "enum", "struct")):
            continue
        arguments = 0 if match[3].strip() in ("", "void") else re.sub(r"\([^()]*\)", "", match[3]).count(",") + 1
        yield match[2], match[0].count("\n") + 1, arguments, False


def functions():
    """(file:function, lines, arguments, whether it is a public constructor) of the package."""
    readers = {".py": functions_of_python, ".pyx": functions_of_cython, ".c": functions_of_c, ".h": functions_of_c}
    for path in written_files():
        if path.suffix in readers and PACKAGE in path.parents:
            for name, *rest in readers[path.suffix](path):
                yield f"{path.relative_to(PACKAGE).as_posix()}:{name}", *rest


def test_functions_are_short():
    """No function has more than 60 lines, its docstring apart."""
    assert {name for name, lines, _, _ in functions() if lines > MOST_FUNCTION_LINES} == LONG_FUNCTIONS


def test_functions_take_few_arguments():
    """No function takes more than 8 arguments, public constructors apart."""
    many = {name for name, _, count, constructs in functions() if count > MOST_ARGUMENTS and not constructs}
    assert many == MANY_ARGUMENTS
