"""Step sizes of sgd over the epochs."""

# Epochs without a gain after which a step size that is not adapted has come to its noise floor.
PATIENCE = 5


class Schedule:
    """Factor of the step size in every epoch.

    "adaptive" halves it whenever an epoch gains nothing, down to the size whose noise is below the tolerance;
    "constant" keeps it; "invscaling" divides it by epoch ** power_t (ZipML's diminishing steps have power 1). "auto"
    is adaptive. `patience` is how many epochs in a row gain nothing before a step size is halved.
    """

    def __init__(self, kind, power_t, tol, patience=1):
        self.kind, self.power_t, self.patience = kind, power_t, patience
        self.scale, self.stalls = 1.0, 0
        self.smallest = min(1 / 64, 100 * tol)  # the noise floor falls with the step

    @property
    def is_adaptive(self):
        return self.kind in ("auto", "adaptive")

    def factor(self, epoch):
        """Part of the first step size that an epoch, counted from 1, steps with."""
        return self.scale * epoch**-self.power_t if self.kind == "invscaling" else self.scale

    def is_over(self, gained):
        """Take note of an epoch; True if later ones will gain nothing either."""
        if gained:
            self.stalls = 0
            return False
        self.stalls += 1
        if not self.is_adaptive:
            return self.stalls >= PATIENCE
        if self.stalls < self.patience:
            return False
        self.stalls = 0
        self.scale /= 2
        return self.scale < self.smallest
