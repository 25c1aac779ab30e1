"""Epochs of the solvers: puts arrays into the struct of epoch.h, drops the GIL and runs it, in threads if asked to.

All vectors of columns live in code space, as in `passes`. Vectors of rows are in slot order.
"""

import numpy as np

from .tiles import aligned_zeros, on_lines
from .workers import run_lockstep

from sklearn_zipml._kernels.active cimport active_kernels, zml_kernels
from sklearn_zipml._kernels.checks cimport require, require_rows
from sklearn_zipml._kernels.tiles cimport (
    ZML_DITHERED, ZML_TILE_ROWS, Tiles, int64_t, uint8_t, uint64_t, zml_outliers,
)
from sklearn_zipml._kernels.workers cimport LOOK_VALUES
from sklearn_zipml._kernels.passes cimport Rows

cdef extern from "team.h" nogil:
    enum:
        ZML_TEAM_MOST
    ctypedef struct zml_team:
        int size
        unsigned int last_round
    int zml_has_teams()
    void zml_open_team(zml_team *team, int size)
    void zml_stop_team(zml_team *team)

cdef extern from "epoch.h" nogil:
    enum:
        ZML_MOST_PARTS
    ctypedef struct zml_rule:
        pass
    const zml_rule zml_saga_least_squares
    const zml_rule zml_sgd_least_squares
    ctypedef struct zml_epoch:
        const zml_kernels *kernels
        const zml_rule *rule
        const uint8_t *tiles
        const uint8_t *table
        zml_outliers outliers
        int width
        uint8_t *bytes
        size_t columns
        size_t n_rows
        const int64_t *order
        size_t n_order
        int batch_size
        const float *centre
        size_t n_targets
        size_t slots
        const float *weights
        const float *targets
        float *table_residual
        float *model
        float *drift
        float *total
        double *sum "sum"
        const double *penalty_gradient
        const float *threshold
        const float *anchor
        const float *keep
        const float *step
        const float *unit
        float batch_weight
        float table_weight
        float *reaches
        int model_bits
        int gradient_bits
        uint64_t seed
    ctypedef struct zml_changes:
        pass
    ctypedef struct zml_member:
        const zml_epoch *epoch
        zml_team *team
        int member
        double *parts
        zml_changes *changes
        unsigned int batches
    ctypedef enum zml_progress:
        ZML_GOES_ON
        ZML_FINISHED
        ZML_NOT_FINITE
        ZML_STOPPED
    int zml_parts(size_t columns)
    size_t zml_blocks(size_t columns)
    void zml_join(zml_member *member)
    zml_progress zml_advance(zml_member *member, size_t batches)

cdef enum:
    TILE = ZML_TILE_ROWS
    # A member of a team has as many values of a batch to itself at least: fewer, and meeting costs more than it brings.
    SHARE = 1 << 13


cdef class Team:
    """Threads that share the epochs of a fit, as long as that pays; the results do not depend on it.

    Parameters
    ----------
    columns : int, padded
    batch_size : int
    threads : int, the most there may be
    """

    cdef zml_team team
    cdef readonly int size

    def __init__(self, size_t columns=0, int batch_size=0, int threads=1):
        cdef size_t worth = min(batch_size * columns // SHARE, <size_t> zml_parts(columns))
        self.size = max(1, min(threads, worth, ZML_TEAM_MOST)) if zml_has_teams() else 1

    def run(self, work):
        """work(member) of all members, as many as there are threads for."""
        results = run_lockstep(self.size, self._open, work, self._stop)
        if self.team.last_round:  # processors are short
            self.size = 1
        return results

    def _open(self, int size):
        zml_open_team(&self.team, size)

    def _stop(self):
        zml_stop_team(&self.team)


cdef class Shrinkage:
    """The proximal step of an l1 penalty: thresholds, and what offsets are relative to, (targets, padded columns)."""

    cdef const float[:, ::1] threshold, anchor

    def __init__(self, const float[:, ::1] threshold, const float[:, ::1] anchor):
        self.threshold, self.anchor = threshold, anchor

    cdef int fits(self, size_t n_targets, size_t columns) except -1:
        return require(<size_t> min(self.threshold.shape[0], self.anchor.shape[0]) == n_targets
                       and <size_t> min(self.threshold.shape[1], self.anchor.shape[1]) == columns,
                       "an l1 penalty of other columns")


cdef class Batches:
    """The rows that an epoch visits, batch by batch, and the rule that makes residuals of them.

    Parameters
    ----------
    tiles : Tiles
    rows : Rows, targets and weights
    order : int64, the tiles as they come; with a team no tile may follow itself
    batch_size : int, rows of a batch of a tile: 16, 32, 48 or 64
    centre : float32 (padded columns,)
    weight : float, of a batch in an epoch, against that of all rows
    loss : str, name of the residual rule, see csrc/rule.h: "squares"
    """

    cdef Tiles tiles
    cdef Rows rows
    cdef const int64_t[::1] order
    cdef const float[::1] centre
    cdef int batch_size
    cdef double weight
    cdef str loss

    def __init__(self, Tiles tiles, Rows rows, const int64_t[::1] order, int batch_size, const float[::1] centre,
                 double weight, str loss="squares"):
        require(batch_size in (16, 32, 48, 64), "no such batch")
        require(<size_t> len(centre) == tiles.padded, "centres of other columns")
        require(rows.holds(tiles.n_rows) and <size_t> rows.targets.shape[1] >= tiles.n_tiles * ZML_TILE_ROWS,
                "rows without target or weight")
        require_rows(order, tiles.n_tiles)
        self.tiles, self.rows, self.order, self.batch_size = tiles, rows, order, batch_size
        self.centre, self.weight, self.loss = on_lines(centre), weight, loss


cdef class Steps:
    """What a step does with a batch's gradient.

    Parameters
    ----------
    keep, step : float32 (padded columns,), factors of the model and of the gradient
    model_bits, gradient_bits : int, 0 for 16 to nearest
    seed : int, 64 bits, to round with
    l1 : Shrinkage or None, that follows a step of saga, and precedes one of sgd
    """

    cdef const float[::1] keep, step
    cdef int model_bits, gradient_bits
    cdef uint64_t seed
    cdef Shrinkage l1

    def __init__(self, const float[::1] keep, const float[::1] step, int model_bits, int gradient_bits, uint64_t seed,
                 Shrinkage l1=None):
        self.keep, self.step, self.l1 = on_lines(keep), on_lines(step), l1
        self.model_bits, self.gradient_bits, self.seed = model_bits, gradient_bits, seed


cdef const zml_rule *rule_of(str loss, const zml_rule *squares) except NULL:
    """A solver's rule for a loss."""
    if loss == "squares":
        return squares
    raise ValueError(f"no epochs for the loss {loss!r}")


cdef class Epoch:
    """One epoch as the C code sees it. `kept` are the arrays it points into."""

    cdef zml_epoch epoch
    cdef Tiles tiles
    cdef Team team
    cdef object kept
    cdef double[:, :, :, ::1] parts
    cdef float[:, ::1] reaches
    cdef uint8_t[::1] bytes
    cdef readonly unsigned int batches

    def __init__(self, Batches batches, Steps steps, Team team):
        cdef zml_epoch *e = &self.epoch
        cdef Tiles tiles = batches.tiles
        cdef Rows rows = batches.rows
        require({len(steps.keep), len(steps.step)} == {tiles.padded}, "factors of other columns")
        self.tiles, self.kept = tiles, (batches, steps)
        e.kernels = active_kernels()
        e.tiles = tiles.tile(0) if tiles.n_tiles else NULL
        e.table = &tiles.table[0] if tiles.table.shape[0] else NULL
        e.outliers = tiles.apart
        if tiles.format == ZML_DITHERED and tiles.padded:
            self.bytes = aligned_zeros((2 if rows.targets.shape[0] > 1 else 1) * tiles.padded * ZML_TILE_ROWS)
            e.bytes = &self.bytes[0]
        e.width, e.columns, e.n_rows = tiles.format, tiles.padded, tiles.n_rows
        e.n_order, e.batch_size = batches.order.shape[0], batches.batch_size
        e.n_targets, e.slots = rows.targets.shape[0], rows.targets.shape[1]
        e.weights = &rows.weights[0] if rows.weighted else NULL
        e.batch_weight, e.seed = <float> batches.weight, steps.seed
        e.model_bits, e.gradient_bits = steps.model_bits, steps.gradient_bits
        if e.n_order:
            e.order = &batches.order[0]
        if e.columns:
            e.centre, e.keep, e.step = &batches.centre[0], &steps.keep[0], &steps.step[0]
        if steps.l1 is not None and e.columns:
            steps.l1.fits(e.n_targets, e.columns)
            e.threshold, e.anchor = &steps.l1.threshold[0, 0], &steps.l1.anchor[0, 0]
        self.reaches = np.zeros((max(1, e.n_targets), max(<size_t> 1, zml_blocks(e.columns))), dtype=np.float32)
        e.reaches = &self.reaches[0, 0]
        self.parts = on_lines(np.zeros((2, max(1, e.n_targets), ZML_MOST_PARTS, TILE)))
        self.team = Team() if team is None else team

    cdef int require_like(self, const double[:, ::1] sums, float[:, ::1] model) except -1:
        cdef size_t n_targets = self.epoch.n_targets, columns = self.epoch.columns
        return require(<size_t> sums.shape[0] == n_targets and <size_t> sums.shape[1] == columns
                       and <size_t> model.shape[0] == n_targets and <size_t> model.shape[1] == columns,
                       "models of other columns")

    def run(self):
        """Run it to its end; False if it ran out of the finite numbers."""
        return self.team.run(self._work)[0]

    def _work(self, int index):
        cdef zml_member member
        cdef zml_progress progress = ZML_GOES_ON
        cdef uint8_t[:, ::1] changes = np.zeros((self.epoch.n_targets + 1, sizeof(zml_changes)), dtype=np.uint8)
        cdef size_t values = self.epoch.batch_size * max(<size_t> 1, self.epoch.columns * self.epoch.n_targets)
        cdef size_t batches = max(<size_t> 1, <size_t> LOOK_VALUES // values)
        member.epoch, member.team, member.member = &self.epoch, &self.team.team, index
        member.parts, member.changes = &self.parts[0, 0, 0, 0], <zml_changes *> &changes[0, 0]
        zml_join(&member)
        while progress == ZML_GOES_ON:
            if index == 0:
                self.tiles.look()
            with nogil:
                progress = zml_advance(&member, batches)
        if index == 0:
            self.batches = member.batches
        return progress == ZML_FINISHED


def saga_epoch(Batches batches, Steps steps, float[:, ::1] table_residual, const double[:, ::1] penalty_gradient,
               double[:, ::1] mean, float[:, ::1] offset, Team team=None):
    """One epoch of anchored SAGA; False if it ran out of the finite numbers.

    offset (targets, columns) is z - anchor and moves; mean is the mean gradient of the table, kept in double;
    table_residual what residuals at the anchor are more than the table's; penalty_gradient that of l2 penalty and
    compensation at the anchor.
    """
    cdef Epoch epoch = Epoch(batches, steps, team)
    cdef Rows rows = batches.rows
    cdef zml_epoch *e = &epoch.epoch
    epoch.require_like(mean, offset)
    epoch.require_like(penalty_gradient, offset)
    require(table_residual.shape[0] == rows.targets.shape[0] and table_residual.shape[1] == rows.targets.shape[1],
            "residuals of other rows")
    drift, total, moved = on_lines(np.zeros_like(offset)), on_lines(np.zeros_like(offset)), on_lines(offset)
    cdef float[:, ::1] drift_view = drift, total_view = total, moved_view = moved
    if offset.shape[0] == 0 or offset.shape[1] == 0:
        return True
    e.rule = rule_of(batches.loss, &zml_saga_least_squares)
    e.table_weight = <float> (1.0 / max(<size_t> 1, batches.tiles.n_rows))
    e.table_residual, e.penalty_gradient = &table_residual[0, 0], &penalty_gradient[0, 0]
    e.model, e.sum, e.drift, e.total = &moved_view[0, 0], &mean[0, 0], &drift_view[0, 0], &total_view[0, 0]
    finite = epoch.run()
    offset_array, mean_array = np.asarray(offset), np.asarray(mean)
    offset_array[:] = moved
    mean_array += drift
    return finite


def sgd_epoch(Batches batches, Steps steps, const float[::1] unit, float[:, ::1] model, double[:, ::1] average,
              Team team=None):
    """One epoch of mini-batch SGD; `average` gets the mean of its iterates. False if it ran out of the finite numbers.

    The gradient vector is rounded scaled by `unit` to the solver's scaled columns.
    """
    cdef Epoch epoch = Epoch(batches, steps, team)
    cdef zml_epoch *e = &epoch.epoch
    epoch.require_like(average, model)
    require(<size_t> unit.shape[0] == batches.tiles.padded, "units of other columns")
    total, moved = on_lines(np.zeros_like(model)), on_lines(model)
    cdef float[:, ::1] total_view = total, moved_view = moved
    average[:, :] = 0
    if model.shape[0] == 0 or model.shape[1] == 0:
        return True
    e.rule = rule_of(batches.loss, &zml_sgd_least_squares)
    e.targets, e.unit = &batches.rows.targets[0, 0], &unit[0]
    e.model, e.sum, e.total = &moved_view[0, 0], &average[0, 0], &total_view[0, 0]
    finite = epoch.run()
    model_array, average_array = np.asarray(model), np.asarray(average)
    model_array[:] = moved
    average_array += total
    average_array /= max(1, epoch.batches)
    return finite
