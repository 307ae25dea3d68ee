"""Writes bep52.txt: BEP 52 roots and piece layers as libtorrent computes them (pip install libtorrent; made with 2.1.1).

Byte i of every file is ((i * 2654435761) >> 13) & 0xff. One line a file: size, pieces root, then the piece layer
(pieces of 1 MiB) where the file is longer than a piece.
"""
import os
import sys
import tempfile

import libtorrent as lt

PIECE = 1 << 20
BLOCK = 16 * 1024
SIZES = [
    1, 31, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 1, 3 * BLOCK, 5 * BLOCK - 7, 63 * BLOCK + 5,
    PIECE - 1, PIECE, PIECE + 1, PIECE + BLOCK, 2 * PIECE, 3 * PIECE, 3 * PIECE + BLOCK + 1, 5 * PIECE - 1,
]


def content(size):
    return bytes(((i * 2654435761) >> 13) & 0xFF for i in range(size))


def main(out):
    data = content(max(SIZES))
    with tempfile.TemporaryDirectory() as folder, open(out, "w") as vectors:
        print("# Made by bep52-vectors.py with libtorrent", lt.__version__, file=vectors)
        for size in SIZES:
            path = os.path.join(folder, f"f{size}")
            with open(path, "wb") as file:
                file.write(data[:size])
            storage = lt.file_storage()
            storage.add_file(f"f{size}", size)
            torrent = lt.create_torrent(storage, PIECE, flags=lt.create_torrent_flags_t.v2_only)
            lt.set_piece_hashes(torrent, folder)
            made = torrent.generate()
            entry = made[b"info"][b"file tree"][f"f{size}".encode()][b""]
            root = entry[b"pieces root"]
            layer = made.get(b"piece layers", {}).get(root, b"")
            pieces = [layer[i : i + 32].hex() for i in range(0, len(layer), 32)]
            print(size, root.hex(), *pieces, file=vectors)


main(sys.argv[1] if len(sys.argv) > 1 else "bep52.txt")
