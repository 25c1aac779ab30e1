"""set_output of a transformer whose rows may be packed: those stay packed, whatever is asked for.

A frame of decoded rows would be packed again, as if they were exact, by an estimator behind it.
"""

from sklearn import get_config
from sklearn.preprocessing import FunctionTransformer

from .._feature_names import NamedRows
from .._storage.blocks import block_dtype, is_foreign


class PackedOutput:
    """Mixin in front of TransformerMixin: transform and fit_transform make frames themselves, where they should."""

    def __init_subclass__(cls, **kwargs):
        own = {name: vars(cls)[name] for name in ("transform", "fit_transform") if name in vars(cls)}
        super().__init_subclass__(**kwargs)
        for name, method in own.items():  # scikit-learn has just wrapped it, to make a frame of whatever it returns
            setattr(cls, name, method)

    def _wanted_output(self):
        """The container that set_output, or else the global configuration, asks for."""
        # _sklearn_output_config is what set_output writes
        own = getattr(self, "_sklearn_output_config", {}).get("transform")
        return own or get_config()["transform_output"]

    def _passed_on(self, rows, X):
        """Rows that are not packed, an array made of X: as the frame that is asked for, else with the names of X."""
        wanted = self._wanted_output()
        if wanted == "default":
            # packed rows have the names, so the next step expects them of these, too
            has_names = hasattr(X, "columns") or getattr(X, "feature_names", None) is not None
            names = getattr(self, "feature_names_in_", None)
            return NamedRows.of(rows, names) if has_names and names is not None else rows
        if is_foreign(rows.dtype):
            rows = rows.astype(block_dtype(rows.dtype))  # of ml_dtypes, which the next step may not know
        frames = FunctionTransformer(lambda _: rows, feature_names_out=lambda *_: self.get_feature_names_out())
        return frames.set_output(transform=wanted).fit_transform(X)
