"""Vectors on their way between the parts and whoever leads them: a few bits a number, rounded stochastically.

A message is a header, the largest magnitude of each vector, and codes: whole numbers from minus to plus `most`, in
parts of that magnitude. The mean of what is decoded over all seeds is what was encoded. Small numbers are the most, so
the high bits of codes get a Huffman code where that is shorter; those below are as good as random, and stay.

Of b bits have all messages of 1000 numbers or more at most b / 32 of the bytes of float32, headers included. Codes that
do not compress are fewer for that.
"""

import struct
import zlib

import numpy as np

from .._kernels.row_order import rows_below

HEADER = struct.Struct("<BHHI")  # flags, and bits that are kept as they are; `most`; vectors; numbers of each
HUFFMAN, SHARES, KEPT = 0x80, 0x40, 0x1F
FEWEST_BITS, MOST_BITS = 4, 16
FLOAT32_HEADER = 7  # a kind, vectors, numbers of each
BUDGETED = 1000  # numbers, from which on a message has no more bytes than it should
LEAST_OF_MOST = 0.4  # of the codes
CODED_BITS = 4, 8  # the high bits that a Huffman code may be of
TREE_BYTES, TREE_LOSS = 24, 1.02  # of a Huffman code of CODED_BITS[0], about, beside the entropy
MOST_SHARE = (1 << 15) - 1
_ALL = np.iinfo(np.uint64).max


def encoded(vectors, bits, seed, beside=0):
    """The message of vectors.

    Parameters
    ----------
    vectors : float64 (vectors, numbers), finite
    bits : int from 4 to 16
    seed : int, 64 bits, of the counter-based generator
    beside : int, bytes that go along with the message

    Returns
    -------
    bytes
    """
    largest = np.abs(vectors).max(axis=1, initial=0)
    scales = largest.astype(np.float32)
    low = scales < largest
    scales[low] = np.nextafter(scales[low], np.float32(np.inf))
    parts = np.divide(vectors, scales[:, None], out=np.zeros_like(vectors), where=scales[:, None] > 0)
    head = HEADER.size + scales.nbytes
    most = _most(bits)
    if vectors.size >= BUDGETED:
        most = _affordable(parts, bits, bits * float32_bytes(*vectors.shape) // 32 - head - beside)
    codes = parts * most
    codes += most
    codes += _uniform(seed, codes.size).reshape(codes.shape)
    codes = np.clip(np.floor(codes), 0, 2 * most).astype(np.uint16)
    flags, data = _shortest(codes.reshape(-1), _width(most))
    return HEADER.pack(flags, most, *vectors.shape) + scales.astype("<f4").tobytes() + data


def _affordable(parts, bits, room):
    """The largest `most` whose codes take so many bytes, as far as can be told without the draws: no bias comes of it.

    parts are vectors in parts of their scales.
    """
    most = _most(bits)
    least = max(int(LEAST_OF_MOST * most), 1)
    while most > least:
        width = _width(most)
        excess = min(-(-parts.size * width // 8), _huffman_bytes(parts, most, width)) - room
        if excess <= 0:
            break
        most = max(least, min(most - 1, int(most * 2 ** (-8 * excess / parts.size))))
    return most


def _huffman_bytes(parts, most, width):
    """Bytes of codes whose high bits have a Huffman code, as is to be expected."""
    kept = max(width - CODED_BITS[0], 0)
    places = parts.reshape(-1) * most + most
    low = np.floor(places)
    above = places - low
    low, n = low.astype(np.intp), 2 * most + 2
    counts = np.bincount(low, 1 - above, minlength=n) + np.bincount(low + 1, above, minlength=n)
    shares = np.add.reduceat(counts, np.arange(0, len(counts), 1 << kept)) / parts.size
    shares = shares[shares > 0]
    return parts.size * (kept - TREE_LOSS * float(shares @ np.log2(shares))) / 8 + TREE_BYTES


def _shortest(codes, width):
    """Flags and bytes of codes of so many bits, by the way that makes them the shortest."""
    found = [(width, _packed(codes, width))]
    for coded in CODED_BITS:
        if width >= coded:
            kept = width - coded
            found.append((HUFFMAN | kept, _packed(codes, kept) + _huffman((codes >> kept).astype(np.uint8))))
    if width == FEWEST_BITS:
        found.append((HUFFMAN | KEPT, _huffman(found[0][1])))
    return min(found, key=lambda one: len(one[1]))


def _huffman(data):
    coder = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS, strategy=zlib.Z_HUFFMAN_ONLY)
    return coder.compress(data) + coder.flush()


def _codes_of(flags, data, width, count):
    """The codes of these."""
    if not flags & HUFFMAN:
        return _unpacked(data, width, count)
    kept, coder = flags & KEPT, zlib.decompressobj(-zlib.MAX_WBITS)
    if kept == KEPT:
        return _unpacked(coder.decompress(data), width, count)
    start = -(-count * kept // 8)
    high = np.frombuffer(coder.decompress(data[start:]), np.uint8).astype(np.uint16)
    return (high << kept) + _unpacked(data[:start], kept, count).astype(np.uint16)


def decoded(message):
    """The vectors of a message, float64 (vectors, numbers)."""
    flags, most, n_vectors, size = HEADER.unpack_from(message)
    scales = _scales(message)
    codes = _codes_of(flags & ~SHARES, message[HEADER.size + n_vectors * 4 :], _width(most), n_vectors * size)
    return (codes.reshape(n_vectors, size).astype(np.float64) - most) * (scales / most)[:, None]


def rounding_error(message):
    """How far the vectors of a message may be from what was encoded, float64 (vectors,): their expected distance."""
    _, most, _, size = HEADER.unpack_from(message)
    return _scales(message) * np.sqrt(size / 6) / most


def _scales(message):
    return np.frombuffer(message, "<f4", HEADER.unpack_from(message)[2], HEADER.size).astype(np.float64)


def shares_bytes(n_vectors, count):
    """What so many numbers beside each vector take."""
    return n_vectors * (4 + 2 * count)


def with_shares(message, shares):
    """A message with numbers beside its vectors, in 16 bits of the largest: some for each of them, (vectors, some)."""
    scales = np.abs(shares).max(axis=1, keepdims=True)
    steps = np.divide(MOST_SHARE, scales, out=np.zeros_like(scales), where=scales > 0)
    codes = np.rint(shares * steps).astype("<i2")
    return bytes([message[0] | SHARES]) + message[1:] + scales.astype("<f4").tobytes() + codes.tobytes()


def shares_of(message, count):
    """These numbers, float64 (vectors, count); None of a message without any."""
    flags, _, n_vectors, _ = HEADER.unpack_from(message)
    if not flags & SHARES:
        return None
    start = len(message) - shares_bytes(n_vectors, count)
    scales = np.frombuffer(message, "<f4", n_vectors, start).astype(np.float64)
    codes = np.frombuffer(message, "<i2", n_vectors * count, start + 4 * n_vectors).reshape(n_vectors, count)
    return codes * (scales / MOST_SHARE)[:, None]


def float32_bytes(n_vectors, size):
    """Bytes of the same vectors as float32, with a header."""
    return FLOAT32_HEADER + 4 * n_vectors * size


def _most(bits):
    return (1 << (bits - 1)) - 1


def _width(most):
    """Bits of codes from 0 to twice that."""
    return (2 * most).bit_length()


def _uniform(seed, count):
    """Numbers from 0 to 1, by counter."""
    return (rows_below(seed, 0, count, _ALL)[1] >> np.uint64(11)) * 2.0**-53


def _packed(codes, bits):
    """The low bits of codes, next to each other."""
    if bits in (8, 16):
        return codes.astype(f"<u{bits // 8}").tobytes()
    if bits == FEWEST_BITS:
        pairs = np.append(codes & 15, 0)[: codes.size + codes.size % 2].astype(np.uint8)
        return (pairs[::2] | pairs[1::2] << 4).tobytes()
    spread = codes[:, None] >> np.arange(bits, dtype=np.uint16) & 1
    return np.packbits(spread.astype(np.uint8), bitorder="little").tobytes()


def _unpacked(data, bits, count):
    if bits in (8, 16):
        return np.frombuffer(data, f"<u{bits // 8}", count)
    data = np.frombuffer(data, np.uint8)
    if bits == FEWEST_BITS:
        return np.stack([data & 15, data >> 4], axis=1).reshape(-1)[:count]
    spread = np.unpackbits(data, count=count * bits, bitorder="little").reshape(count, bits)
    return spread @ (1 << np.arange(bits))
