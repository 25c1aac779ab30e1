"""The arguments of every command."""

import argparse

from .._scheme import OUTLIERS, PLACEMENTS, SAMPLINGS
from .._version import __version__
from .bench import bench
from .fit import fit
from .pack import info, pack
from .predict import predict, score

SOURCES = ".npy, .npz, .parquet, .feather, .arrow, .csv or .bed files, a folder of them, or a pattern"


def parser():
    """The parser; `run` of what it parses is the command."""
    top = argparse.ArgumentParser(
        prog="python -m sklearn_zipml", description="Pack data into few bits a value and train linear models on it."
    )
    top.add_argument("--version", action="version", version=f"sklearn_zipml {__version__}")
    commands = top.add_subparsers(required=True, metavar="command")
    _add_pack(_command(commands, "pack", pack, "pack a table or an array into a file"))
    describe = _command(commands, "info", info, "tell what a packed file holds")
    describe.add_argument("file")
    describe.add_argument("--verify", action="store_true", help="check the checksums of all rows too")
    _add_fit(_command(commands, "fit", fit, "train on a packed file"))
    _add_predict(_command(commands, "predict", predict, "predict rows with a model that fit has written"))
    _add_score(_command(commands, "score", score, "R² or accuracy of a model on rows whose target is known"))
    timed = _command(commands, "bench", bench, "time packing and training on generated data")
    timed.add_argument("--rows", type=int, default=200_000)
    timed.add_argument("--columns", type=int, default=100)
    timed.add_argument("--bits", type=int, nargs="+", default=[2, 4, 8])
    timed.add_argument("--jobs", type=int, default=-1, help="threads that pack (default: all cores)")
    _add_seed(timed)
    return top


def _command(commands, name, run, what):
    command = commands.add_parser(name, help=what, description=what[0].upper() + what[1:] + ".")
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.set_defaults(run=run, prog=f"sklearn_zipml {name}")
    return command


def _add_seed(command):
    command.add_argument("--seed", type=int, help="makes the result reproducible")


def _add_csv(command):
    command.add_argument(
        "--header", action=argparse.BooleanOptionalAction, help="CSV files begin with names of columns, or do not"
    )
    command.add_argument("--delimiter", help="between the values of CSV files (default: a comma)")


def _add_target(command):
    command.add_argument(
        "--target", action="append", help="column that is the target (name; number in .npy); repeatable"
    )
    command.add_argument("--y", help="file of the target: .npy, or a table of one column")


def _add_pack(command):
    command.add_argument("source", nargs="+", help=SOURCES)
    command.add_argument("-o", "--output", required=True, help="file to write; replaced if it exists")
    _add_target(command)
    command.add_argument("--weight", help="column of a weight for each row (name; number in .npy), which fit takes")
    command.add_argument("--columns", help="columns to pack, separated by commas; default: all but target and weight")
    _add_csv(command)
    command.add_argument("--bits", type=int, help="bits a value, 1 to 8 (default 4; 2 for genotypes in a .bed file)")
    command.add_argument("--sampling", choices=SAMPLINGS, help="default: auto")
    command.add_argument("--levels", choices=PLACEMENTS, help="default: optimal")
    command.add_argument("--outliers", choices=OUTLIERS, help="whether a few values are kept apart (default: auto)")
    command.add_argument("--draws", type=int, help="draws of a value with --sampling double (default 2)")
    command.add_argument(
        "--missing", choices=("error", "mean"), help="what missing values are: an error (default), or column means"
    )
    command.add_argument(
        "--append", action="store_true", help="add rows to the output file, on the levels it has, with its settings"
    )
    command.add_argument("--jobs", type=int, default=-1, help="threads (default: all cores)")
    command.add_argument("--no-progress", action="store_true", help="no progress bar")
    _add_seed(command)


def _add_fit(command):
    command.add_argument("file")
    command.add_argument("--task", choices=("regression", "classification"), help="default: by the kind of the target")
    command.add_argument(
        "--loss", choices=("squared", "log"), default="squared", help="log: logistic regression, for probabilities"
    )
    command.add_argument("--bits", type=int, help="train on fewer bits than the file has")
    command.add_argument("--alpha", type=float, default=1e-4, help="ridge penalty of a regression (default 1e-4)")
    command.add_argument("--C", type=float, default=1.0, help="weight of the loss of a classification (default 1)")
    command.add_argument("--max-iter", type=int, default=100)
    command.add_argument("--tol", type=float, default=1e-4)
    command.add_argument("--test-size", type=float, help="part of the rows to hold out and score, such as 0.2")
    command.add_argument("--test", help="packed file of rows to score")
    command.add_argument(
        "--weight", help="file of a weight for each row: .npy, or a table of one column; else those of the file"
    )
    command.add_argument("-o", "--output", help="JSON file for the coefficients")
    _add_seed(command)


def _add_predict(command):
    command.add_argument("model", help="JSON file of `fit -o`")
    command.add_argument("source", nargs="+", help=f"a packed file; or {SOURCES}")
    command.add_argument("-o", "--output", help=".npy or .csv file; default: a line each on stdout")
    command.add_argument(
        "--probabilities", action="store_true", help="those of the classes, of a model of `fit --loss log`"
    )
    _add_csv(command)


def _add_score(command):
    command.add_argument("model", help="JSON file of `fit -o`")
    command.add_argument("source", nargs="+", help=f"a packed file with a target; or {SOURCES}")
    _add_target(command)
    _add_csv(command)
