"""Which file system a path lies on: SQLite's locks do not hold on network file systems."""

from __future__ import annotations

from pathlib import Path

from theoros.db.errors import NetworkFileSystem

NETWORK = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb",
        "smb2",
        "smb3",
        "smbfs",
        "afs",
        "ncpfs",
        "lustre",
        "gpfs",
        "beegfs",
        "ceph",
        "glusterfs",
        "pvfs2",
        "orangefs",
        "panfs",
        "wekafs",
        "9p",
        "fuse.sshfs",
        "fuse.glusterfs",
        "fuse.ceph",
        "fuse.juicefs",
        "fuse.s3fs",
        "fuse.gcsfuse",
        "fuse.rclone",
        "fuse.beegfs",
    }
)
MOUNTS = Path("/proc/mounts")


def file_system_of(path: Path) -> str:
    """The type of the file system that `path` lies (or would lie) on; empty where the system does not say."""
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    target, best, kind = path.resolve(), -1, ""
    for line in lines:
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        mount = Path(fields[1].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\"))
        if target.is_relative_to(mount) and len(mount.parts) >= best:  # a later mount on the same point covers it
            best, kind = len(mount.parts), fields[2]
    return kind


def refuse_network_file_system(path: Path) -> None:
    """Raise `NetworkFileSystem` if a SQLite database at `path` could be corrupted by its file system's locks."""
    kind = file_system_of(path)
    if kind in NETWORK:
        raise NetworkFileSystem(
            f"The SQLite database {path} would lie on a network file system ({kind}). SQLite's locks do not hold "
            "there, so two writers can corrupt it. Put the file on a local disk, or use PostgreSQL: postgresql://user@host/name."
        )
