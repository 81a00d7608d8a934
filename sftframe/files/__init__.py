"""Files and folders that appear whole or not at all, and JSON lines that survive a kill at any byte.

Every call that changes the disk goes through `Disk`.
"""

from sftframe.files.disk import Disk, DiskError, disk, using_disk
from sftframe.files.lines import JsonLines, read_json_lines, write_json_lines
from sftframe.files.named import MOST_TEXT, check_plain, content_kind, path_hint, read_named_file, read_named_text
from sftframe.files.values import decoded, decoded_object, plain
from sftframe.files.whole import (
    is_leftover,
    remove_leftovers,
    replace_dir,
    sync_dir,
    whole_dir,
    whole_file,
    write_json,
    write_json_part,
    write_whole,
)

__all__ = [
    "MOST_TEXT",
    "Disk",
    "DiskError",
    "JsonLines",
    "check_plain",
    "content_kind",
    "decoded",
    "decoded_object",
    "disk",
    "is_leftover",
    "path_hint",
    "plain",
    "read_json_lines",
    "read_named_file",
    "read_named_text",
    "remove_leftovers",
    "replace_dir",
    "sync_dir",
    "using_disk",
    "whole_dir",
    "whole_file",
    "write_json",
    "write_json_lines",
    "write_json_part",
    "write_whole",
]
