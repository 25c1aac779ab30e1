"""Which solver runs, from the shape of a problem and its settings only, never from the machine."""

from . import elastic_net

# Columns or rows, whichever are fewer, that a matrix of second moments has at most: 512 MB.
MOST_SIDE = 8192
# Products that make it, up to which it is cheaper than the epochs of one target; it costs the same for all of them.
# Where epochs fall short it may take so many more.
CHEAP, AFFORDABLE = 1e10, 2e12
# With fewer rows than so many columns' worth, epochs crawl along directions that the rows hardly tell apart.
ROWS_BY_COLUMN = 2


def chosen_solver(quadratic, options):
    """Name of the solver: gram, saga or sgd."""
    if options.solver != "auto":
        return options.solver
    if options.wants_epochs or not is_exact_affordable(quadratic):
        return "saga"
    problem = quadratic.problem
    few_rows = problem.n < ROWS_BY_COLUMN * problem.d
    return "gram" if few_rows or products(problem) <= CHEAP * len(quadratic.targets) else "saga"


def is_exact_affordable(quadratic):
    """Whether the exact solution may be taken where epochs do not get there."""
    problem = quadratic.problem
    if not quadratic.loss.is_quadratic:
        return False
    if quadratic.has_l1:
        return products(problem) <= AFFORDABLE and elastic_net.is_affordable(quadratic)
    side = problem.n if by_rows(quadratic) else problem.d
    return side <= MOST_SIDE and float(problem.n) * problem.d * side <= AFFORDABLE


def by_rows(quadratic):
    """Whether products of rows, not of columns, are what the exact solution takes."""
    return quadratic.problem.n < quadratic.problem.d and not quadratic.is_compensated


def blas_products(quadratic):
    """Multiplications that BLAS does in the exact solution: a factor and, of rows, the matrix."""
    n, d = float(quadratic.problem.n), float(quadratic.problem.d)
    if quadratic.has_l1:
        return 0.0
    if by_rows(quadratic):
        return n * n * (d + n / 3) / 2
    return d * d * (d / 6 + len(quadratic.targets))


def products(problem):
    """Multiplications that the smaller matrix of second moments takes."""
    return float(problem.n) * problem.d * min(problem.n, problem.d)
