"""What scikit-learn's callbacks are told about a fit; before scikit-learn 1.9 there are none, and nobody listens."""

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:

    class _Unheard:
        def subcontext(self, **_):
            return self

        def call_on_fit_task_begin(self, **_):
            return self

        def call_on_fit_task_end(self, **_):
            return False

    class CallbackSupportMixin:
        """Nothing to support."""

        def _init_callback_context(self, **_):
            return _Unheard()


class FitTask:
    """The task of a fit, a context that ends with it unless it fails; its subtasks are the epochs.

    Parameters
    ----------
    estimator : estimator with CallbackSupportMixin, inside a method that `_fit_context` decorates
    X, y : training data as predict and score take them
    sample_weight : array or None
    max_epochs : int
    attributes : callable(coef, intercept) -> dict or None, fitted attributes of a model
    """

    def __init__(self, estimator, X, y=None, sample_weight=None, max_epochs=0, attributes=None):
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self.data = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self.max_epochs, self.attributes = max_epochs, attributes
        self.context = estimator._init_callback_context(max_subtasks=max_epochs)
        self.context.call_on_fit_task_begin(**self.data)
        self.epoch = None

    @property
    def is_heard(self):
        """Whether anybody listens."""
        return bool(getattr(self.data["estimator"], "_skl_callbacks", None))

    def begin_epoch(self):
        """Begin a subtask."""
        self.epoch = self.context.subcontext(task_name="epoch").call_on_fit_task_begin(**self.data)

    def end_epoch(self, number, model):
        """End the subtask of an epoch and begin the next one.

        Parameters
        ----------
        number : int, epochs done
        model : callable() -> coef, intercept

        Returns
        -------
        bool, whether a callback asks to stop
        """

        def reconstruction():
            return self.attributes(*model()) | {"n_iter_": number}

        stop = self.epoch.call_on_fit_task_end(**self.data, reconstruction_attributes=reconstruction)
        self.epoch = None
        if not stop and number < self.max_epochs:
            self.begin_epoch()
        return stop

    def __enter__(self):
        return self

    def __exit__(self, error, *_):
        """End the task of the fitted estimator, and an epoch that was begun but not needed."""
        if error is not None:
            return
        if self.epoch is not None:
            self.epoch.call_on_fit_task_end(**self.data)
        self.context.call_on_fit_task_end(**self.data, reconstruction_attributes={})
