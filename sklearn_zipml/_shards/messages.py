"""Vectors on their way between the parts and whoever leads them: a few bits a number, rounded stochastically.

A message is a header, the largest magnitude of each vector, and codes. b bits have 2^b - 1 values, evenly spaced
between minus and plus that magnitude, zero among them. The mean of what is decoded over all seeds is what was encoded.
Small numbers are the most, so codes get a Huffman code where that is shorter.
"""

import struct
import zlib

import numpy as np

from .._kernels.row_order import rows_below

HEADER = struct.Struct("<BHI")  # BITS, and flags; vectors; numbers of each
HUFFMAN, SHARES, BITS = 0x80, 0x40, 0x1F
FEWEST_BITS, MOST_BITS = 4, 16
MOST_SHARE = (1 << 15) - 1
_ALL = np.iinfo(np.uint64).max


def encoded(vectors, bits, seed):
    """The message of vectors.

    Parameters
    ----------
    vectors : float64 (vectors, numbers), finite
    bits : int from 4 to 16
    seed : int, 64 bits, of the counter-based generator

    Returns
    -------
    bytes
    """
    most = _most(bits)
    largest = np.abs(vectors).max(axis=1, initial=0)
    scales = largest.astype(np.float32)
    low = scales < largest
    scales[low] = np.nextafter(scales[low], np.float32(np.inf))
    steps = np.divide(most, scales, out=np.zeros(len(scales)), where=scales > 0)
    codes = vectors * steps[:, None]
    codes += most
    codes += _uniform(seed, codes.size).reshape(codes.shape)
    codes = np.clip(np.floor(codes), 0, 2 * most).astype(np.uint16)
    data, flag = _packed(codes.reshape(-1), bits), 0
    huffman = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS, strategy=zlib.Z_HUFFMAN_ONLY)
    shorter = huffman.compress(data) + huffman.flush()
    if len(shorter) < len(data):
        data, flag = shorter, HUFFMAN
    return HEADER.pack(bits | flag, *vectors.shape) + scales.astype("<f4").tobytes() + data


def decoded(message):
    """The vectors of a message, float64 (vectors, numbers)."""
    bits, n_vectors, size = HEADER.unpack_from(message)
    scales = np.frombuffer(message, "<f4", n_vectors, HEADER.size).astype(np.float64)
    data = message[HEADER.size + scales.size * 4 :]
    if bits & HUFFMAN:
        data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data)
    bits &= BITS
    codes, most = _unpacked(data, bits, n_vectors * size), _most(bits)
    return (codes.reshape(n_vectors, size).astype(np.float64) - most) * (scales / most)[:, None]


def rounding_error(message):
    """How far the vectors of a message may be from what was encoded, float64 (vectors,): their expected distance."""
    bits, n_vectors, size = HEADER.unpack_from(message)
    scales = np.frombuffer(message, "<f4", n_vectors, HEADER.size).astype(np.float64)
    return scales * np.sqrt(size / 6) / _most(bits & BITS)


def with_shares(message, shares):
    """A message with numbers beside its vectors, in 16 bits of the largest: some for each of them, (vectors, some)."""
    scales = np.abs(shares).max(axis=1, keepdims=True)
    steps = np.divide(MOST_SHARE, scales, out=np.zeros_like(scales), where=scales > 0)
    codes = np.rint(shares * steps).astype("<i2")
    return bytes([message[0] | SHARES]) + message[1:] + scales.astype("<f4").tobytes() + codes.tobytes()


def shares_of(message, count):
    """These numbers, float64 (vectors, count); None of a message without any."""
    bits, n_vectors, _ = HEADER.unpack_from(message)
    if not bits & SHARES:
        return None
    start = len(message) - n_vectors * (4 + 2 * count)
    scales = np.frombuffer(message, "<f4", n_vectors, start).astype(np.float64)
    codes = np.frombuffer(message, "<i2", n_vectors * count, start + 4 * n_vectors).reshape(n_vectors, count)
    return codes * (scales / MOST_SHARE)[:, None]


def float32_bytes(n_vectors, size):
    """Bytes of the same vectors as float32, with the same header."""
    return HEADER.size + 4 * n_vectors * size


def _most(bits):
    return (1 << (bits - 1)) - 1


def _uniform(seed, count):
    """Numbers from 0 to 1, by counter."""
    return (rows_below(seed, 0, count, _ALL)[1] >> np.uint64(11)) * 2.0**-53


def _packed(codes, bits):
    """Codes next to each other, the low bits first."""
    if bits in (8, 16):
        return codes.astype(f"<u{bits // 8}").tobytes()
    if bits == FEWEST_BITS:
        pairs = np.append(codes, 0)[: codes.size + codes.size % 2].astype(np.uint8)
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
