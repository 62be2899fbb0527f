"""The live page as files: its headers, its ETags, and that it asks nobody else for anything."""

import re

from tests.http.nodes import Nodes
from yakt.http import page_files


def test_the_page_is_served_with_a_policy_that_lets_nothing_else_in(nodes: Nodes) -> None:
    answer = nodes[0].get("/")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_every_file_the_page_names_is_there(nodes: Nodes) -> None:
    for path in re.findall(r'(?:src|href)="(/page/[^"]+)"', nodes[0].get("/").body):
        answer = nodes[1].get(path)
        assert answer.status == 200, path
        again = nodes[1].get(path, headers={"if-none-match": answer.headers["etag"]})
        assert (again.status, again.body) == (304, "")
        assert nodes[2].get(path, headers={"if-none-match": '"other"'}).status == 200
    assert nodes[0].get("/page/nothing.js").status == 404
    assert nodes[0].get("/page/../application.py").status == 404


def test_no_file_is_inline_or_from_elsewhere() -> None:
    files = page_files.load()
    assert {"index.html", "app.js", "page.css", "vendor/uPlot.iife.min.js", "vendor/uPlot.LICENSE"} <= set(files)
    html = files["index.html"].content.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", html)
    for name, file in files.items():
        if name.startswith("vendor/") or name.endswith(".svg"):
            continue
        text = file.content.decode()
        assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|\beval\(", text), name
        assert set(re.findall(r"https?://[^\s\"'`)]+", text)) <= {"http://www.w3.org/2000/svg"}, name
    assert sum(len(file.content) for file in files.values()) < 150_000
