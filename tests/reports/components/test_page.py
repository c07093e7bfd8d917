"""The content security policy allows the scripts of the page and no other."""

import base64
import hashlib

from evenhand.reports.components.page import asset, policy


def test_policy_names_scripts_by_their_hashes():
    script = asset("export.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy(script).endswith(f"; script-src 'sha256-{digest}'")
    assert "script-src" not in policy()
    assert "unsafe-inline" not in policy(script).partition("script-src")[2]


def test_script_has_no_address_and_builds_no_html_from_text():
    script = asset("export.js")
    assert "http" not in script
    assert not {
        word for word in ("innerHTML", "insertAdjacentHTML", "eval(", "document.write") if word in script
    }
