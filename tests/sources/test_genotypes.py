"""PLINK's .bed files: packed as they are, against what bed-reader reads of them."""

import sys

import numpy as np
import pandas as pd
import pytest
from packing import assert_same_parts
from sklearn.linear_model import Ridge
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLRegressor
from sklearn_zipml._cli import main
from sklearn_zipml._kernels import dispatch
from sklearn_zipml._sources.source import open_source

bed_reader = pytest.importorskip("bed_reader")
MISSING = -127
SHAPES = [(1, 1), (2, 3), (3, 70), (101, 40), (64, 65), (37, 1300), (5001, 9), (9001, 130)]


def genotypes(n, d, share=0.1, seed=0):
    """Copies of the first allele; some variants without all kinds, one without any that is missing."""
    rng = np.random.default_rng(seed)
    G = rng.integers(0, 3, size=(n, d)).astype(np.int8)
    G[:, ::5] = G[:, ::5] // 2
    G[:, 1::5] = np.maximum(G[:, 1::5], 1)
    G[:, 2::5] = rng.integers(0, 3, size=d)[2::5]
    absent = rng.uniform(size=G.shape) < share
    absent[0], absent[:, :2] = False, False
    G[absent] = MISSING
    return G


def written(folder, G, name="a.bed", **properties):
    path = folder / name
    bed_reader.to_bed(path, G, properties={"pheno": ["-9"] * len(G)} | properties)
    return path


def floats(G):
    return np.where(G == MISSING, np.nan, G)


@pytest.mark.parametrize("kernels", dispatch.available_kernels())
@pytest.mark.parametrize("bits", [2, 3, 8])
@pytest.mark.parametrize("shape", SHAPES)
def test_lossless(tmp_path, shape, bits, kernels):
    """Every genotype that is known, and the means of the others; wide and tall, whatever the threads and the blocks."""
    G = genotypes(*shape)
    path, X = written(tmp_path, G), floats(G)
    with dispatch.kernels(kernels):
        packed = PackedMatrix.from_chunks(path, sample_bits=bits, missing="mean", random_state=0, n_jobs=1)
        assert_same_parts(
            packed, PackedMatrix.from_chunks(path, sample_bits=bits, missing="mean", random_state=0, n_jobs=3)
        )
    values, absent = np.asarray(packed), np.isnan(X)
    np.testing.assert_array_equal(values[~absent], X[~absent])
    np.testing.assert_array_equal(packed.missing_count, absent.sum(axis=0))
    means = np.broadcast_to(np.nanmean(X, axis=0), X.shape)
    np.testing.assert_allclose(values[absent], means[absent], atol=1 / 127)
    assert packed.target is None and packed.rounding_variance.max() < 1e-6 and packed.dtype == np.float64


@pytest.mark.parametrize("bits, settings", [(2, {}), (4, {"sampling": "nearest"}), (2, {"levels": "uniform"})])
def test_nothing_missing(tmp_path, bits, settings):
    """No level for what is missing is needed, and none is made."""
    G = genotypes(200, 30, share=0)
    packed = PackedMatrix.from_chunks(written(tmp_path, G), sample_bits=bits, random_state=0, **settings)
    np.testing.assert_array_equal(packed, G)
    assert packed.missing_count is None and packed.sampling == settings.get("sampling", "compensated")


@pytest.mark.parametrize("settings", [{"sample_bits": 1}, {"sample_bits": 4, "sampling": "double"}])
def test_fewer_levels_than_genotypes(tmp_path, settings):
    """They are rounded then, as any numbers: to the bit as those in an array."""
    G = genotypes(300, 20, share=0)
    path = written(tmp_path, G)
    packed = PackedMatrix.from_chunks(path, random_state=0, **settings)
    expected = PackedMatrix.from_chunks(G.astype(np.float64), random_state=0, **settings)
    np.testing.assert_array_equal(packed, expected)


def test_names_and_columns(tmp_path):
    """Ids of variants; where these are not unique, places and alleles; some of the variants, by name or number."""
    G = genotypes(50, 6)
    sid = ["rs1", "rs2", ".", "rs4", "rs4", "rs6"]
    places = {"chromosome": ["1"] * 6, "bp_position": [10, 20, 30, 40, 40, 60]}
    path = written(tmp_path, G, sid=sid, allele_1=["A"] * 6, allele_2=["G"] * 6, **places)
    packed = PackedMatrix.from_chunks(path, sample_bits=2, missing="mean")
    assert packed.feature_names == ("rs1", "rs2", "1:30:A:G", "1:40:A:G:3", "1:40:A:G:4", "rs6")
    for columns in (["rs6", "rs1", "rs2"], [5, 0, 1]):
        some = PackedMatrix.from_chunks(path, columns=columns, sample_bits=2, missing="mean")
        assert some.feature_names == ("rs6", "rs1", "rs2")
        np.testing.assert_array_equal(some, packed[:, [5, 0, 1]])
    with pytest.raises(ValueError, match="The data has no column 'rs7'; did you mean 'rs6'"):
        PackedMatrix.from_chunks(path, columns=["rs7"])


@pytest.mark.parametrize(
    "texts, expected",
    [
        (["1", "2", "0", "-9"], [1, 2, np.nan, np.nan]),
        (["1.5", "0", "NA", "2"], [1.5, 0, np.nan, 2]),
        (["ill", "well", "-9", "ill"], ["ill", "well", "", "ill"]),
    ],
)
def test_phenotypes_of_the_fam_file(tmp_path, texts, expected):
    """The target, unless another is given; 0 is missing among cases and controls."""
    path = written(tmp_path, genotypes(4, 5, share=0), pheno=texts)
    packed = PackedMatrix.from_chunks(path, sample_bits=2)
    np.testing.assert_array_equal(packed.target, expected)
    np.testing.assert_array_equal(PackedMatrix.from_chunks(path, np.arange(4), sample_bits=2).target, range(4))
    np.testing.assert_array_equal(np.concatenate([c.y for c in open_source(path).chunks()]), expected)


@pytest.mark.parametrize("between", ["\t", " ", ","])
def test_phenotypes_by_the_ids_of_samples(tmp_path, between):
    """In any order, some not known; a fit takes those that are."""
    G = genotypes(6, 4, share=0)
    path = written(tmp_path, G, iid=[f"s{i}" for i in range(6)])
    rows = [["#FID", "IID", "height", "weight"], ["f", "s5", "1.5", "NA"], ["f", "s0", "2", "-9"]]
    rows += [["f", "s9", "3", "3"], ["f", "s2", "-1", "7"]]
    table = tmp_path / "traits.txt"
    table.write_text("\n".join(between.join(row) for row in rows) + "\n")
    packed = PackedMatrix.from_chunks(path, table, sample_bits=2)
    nan = np.nan
    expected = [[2, nan], [nan, nan], [-1, 7], [nan, nan], [nan, nan], [1.5, nan]]
    np.testing.assert_array_equal(packed.target, expected)
    table.write_text("\n".join(between.join(row[1:3]) for row in rows).replace("#", "") + "\n")
    packed = PackedMatrix.from_chunks(path, table, sample_bits=2)
    np.testing.assert_array_equal(packed.target, np.array(expected)[:, 0])
    model = ZipMLRegressor(2, alpha=0.1, missing_target="drop", random_state=0).fit(packed)
    known = [0, 2, 5]
    np.testing.assert_allclose(model.coef_, Ridge(0.3).fit(G[known] * 1.0, [2, -1, 1.5]).coef_, rtol=1e-6)
    for text, message in [
        ("IID x\ns0 1\ns0 2\n", "more than one row of sample 's0'"),
        ("IID x\nt0 1\n", r"no phenotype of any sample: its ids are such as \['t0'\]"),
        ("IID x\ns0 tall\n", "has 'tall' in column 'x'"),
        ("IID x\ns0 1 2\n", "has 3 values in line 2, and 2 names"),
    ]:
        table.write_text(text)
        with pytest.raises(ValueError, match=message):
            PackedMatrix.from_chunks(path, table, sample_bits=2)


def test_quantizers_transforms_and_appended_rows(tmp_path):
    """What needs numbers gets them: levels of before, features that are made, rows for a file."""
    G = genotypes(600, 12)
    path, X = written(tmp_path, G), floats(G)
    named = pd.DataFrame(X, columns=[f"sid{j + 1}" for j in range(12)])
    quantizer = DoubleSamplingQuantizer(2, missing="mean", random_state=0).fit(named)
    packed = PackedMatrix.from_chunks(path, quantizer=quantizer)
    np.testing.assert_array_equal(packed, quantizer.quantize(named))
    filled = FunctionTransformer(lambda A: np.nan_to_num(A, nan=1.0)).fit(X)
    made = PackedMatrix.from_chunks(path, transform=filled, sample_bits=2, random_state=0)
    np.testing.assert_array_equal(made, np.nan_to_num(X, nan=1.0))
    full = written(tmp_path, genotypes(600, 12, share=0), "full.bed")
    scaled = PackedMatrix.from_chunks(full, transform=StandardScaler().fit(genotypes(600, 12, share=0)), sample_bits=8)
    assert abs(np.asarray(scaled).mean()) < 0.01
    file = tmp_path / "rows.zml"
    PackedMatrix.from_chunks(full, sample_bits=2, random_state=0).save(file)
    longer = PackedMatrix.append(file, full, random_state=0)
    np.testing.assert_array_equal(longer, np.concatenate([genotypes(600, 12, share=0)] * 2))


def test_chromosomes_side_by_side(tmp_path):
    """Files of the same samples, packed by themselves."""
    parts = [genotypes(150, d, seed=d) for d in (70, 9)]
    paths = [written(tmp_path, G, f"{k}.bed", sid=[f"{k}:{j}" for j in range(G.shape[1])]) for k, G in enumerate(parts)]
    packed = [PackedMatrix.from_chunks(path, sample_bits=2, missing="mean", random_state=0) for path in paths]
    joined, known = PackedMatrix.hstack(packed), np.hstack(parts) != MISSING
    np.testing.assert_array_equal(np.asarray(joined)[known], np.hstack(parts)[known])
    assert joined.feature_names[-1] == "1:8"


def test_padding_is_not_read(tmp_path):
    """Bits behind the last sample may be anything."""
    G = genotypes(5, 3, share=0)
    path = written(tmp_path, G)
    content = bytearray(path.read_bytes())
    content[4::2] = bytes(byte | 0b11111100 for byte in content[4::2])
    path.write_bytes(content)
    np.testing.assert_array_equal(PackedMatrix.from_chunks(path, sample_bits=2), G)


def test_errors(tmp_path, monkeypatch):
    """Files that are none, or not whole; genotypes that are missing; what there is not of them."""
    G = genotypes(40, 8)
    path = written(tmp_path, G)
    with pytest.raises(
        ValueError, match=r"6 variants have missing genotypes, 'sid3' of \d+ samples: set missing='mean'"
    ):
        PackedMatrix.from_chunks(path, sample_bits=2)
    with pytest.raises(ValueError, match="are genotypes; give phenotypes as y"):
        PackedMatrix.from_chunks(path, target="sid1")
    with pytest.raises(ValueError, match=r"2 .bed files.*PackedMatrix.hstack"):
        PackedMatrix.from_chunks([path, path])
    with pytest.raises(ValueError, match="The data has 40 rows and y has 39"):
        PackedMatrix.from_chunks(path, np.zeros(39))
    with pytest.raises(ValueError, match="header=True is for CSV files"):
        PackedMatrix.from_chunks(path, header=True)
    G[:, 2] = MISSING
    with pytest.raises(ValueError, match=r"Column 'sid3' \(2\) of X has no values, all are missing"):
        PackedMatrix.from_chunks(written(tmp_path, G, "b.bed"), missing="mean")
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(ValueError, match=r"has 82 bytes, and 40 samples .* take 83: the files do not belong together"):
        PackedMatrix.from_chunks(path)
    path.write_bytes(b"\x6c\x1b\x00" + content[3:])
    with pytest.raises(ValueError, match=r"by samples; write it by variants with `plink --make-bed`"):
        PackedMatrix.from_chunks(path)
    path.write_bytes(b"chr1 0 5\n")
    with pytest.raises(ValueError, match=r"is no .bed file of PLINK's genotypes"):
        PackedMatrix.from_chunks(path)
    path.write_bytes(content)
    (tmp_path / "a.fam").unlink()
    with pytest.raises(FileNotFoundError, match=r"needs the file a.fam beside it"):
        PackedMatrix.from_chunks(path)
    monkeypatch.setitem(sys.modules, "bed_reader", None)
    with pytest.raises(ImportError, match=r"needs bed-reader: pip install 'sklearn_zipml\[genetics\]'"):
        PackedMatrix.from_chunks(tmp_path / "b.bed")


def test_on_the_command_line(tmp_path, capsys):
    """Two bits unless others are asked for; missing genotypes by --missing mean."""
    G = genotypes(100, 10)
    path, out = written(tmp_path, G), tmp_path / "out.zml"
    pack = ["pack", str(path), "-o", str(out), "--seed", "0", "--json", "--no-progress"]
    assert main(pack) == 1
    assert "--missing mean on the command line" in capsys.readouterr().err and not out.exists()
    assert main([*pack, "--missing", "mean"]) == 0
    capsys.readouterr()
    packed = PackedMatrix.load(out)
    assert packed.sample_bits == 2 and packed.feature_names[0] == "sid1"
    known = G != MISSING
    np.testing.assert_array_equal(np.asarray(packed)[known], G[known])
    assert main([*pack, "--missing", "mean", "--bits", "4", "--columns", "sid2,sid5"]) == 0
    assert PackedMatrix.load(out).shape == (100, 2) and PackedMatrix.load(out).sample_bits == 4
