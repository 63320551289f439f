"""Vega, Vega-Lite and Vega-Embed as one script, which pages load from their own folder.

The package vl-convert brings them, so that no page asks for a network.
"""

from pathlib import Path

import vl_convert

from state_gradients.foundation.atomic import replacing

NAME = "vega.js"
LICENCE = """\
Redistribution and use in source and binary forms, with or without modification, are
permitted provided that the following conditions are met:

1. Redistributions of source code must retain the above copyright notice, this list of
conditions and the following disclaimer.

2. Redistributions in binary form must reproduce the above copyright notice, this list
of conditions and the following disclaimer in the documentation and/or other materials
provided with the distribution.

3. Neither the name of the copyright holder nor the names of its contributors may be
used to endorse or promote products derived from this software without specific prior
written permission.

THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS "AS IS" AND ANY
EXPRESS OR IMPLIED WARRANTIES, INCLUDING, BUT NOT LIMITED TO, THE IMPLIED WARRANTIES OF
MERCHANTABILITY AND FITNESS FOR A PARTICULAR PURPOSE ARE DISCLAIMED. IN NO EVENT SHALL
THE COPYRIGHT HOLDER OR CONTRIBUTORS BE LIABLE FOR ANY DIRECT, INDIRECT, INCIDENTAL,
SPECIAL, EXEMPLARY, OR CONSEQUENTIAL DAMAGES (INCLUDING, BUT NOT LIMITED TO, PROCUREMENT
OF SUBSTITUTE GOODS OR SERVICES; LOSS OF USE, DATA, OR PROFITS; OR BUSINESS
INTERRUPTION) HOWEVER CAUSED AND ON ANY THEORY OF LIABILITY, WHETHER IN CONTRACT, STRICT
LIABILITY, OR TORT (INCLUDING NEGLIGENCE OR OTHERWISE) ARISING IN ANY WAY OUT OF THE USE
OF THIS SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE."""


def write_bundle(folder):
    """Write ``vega.js``, which gives a page `vega`, `vegaLite` and `vegaEmbed`.

    A file that is there and the same is left as it is.

    Parameters
    ----------
    folder : path-like
        Made when missing.

    Returns
    -------
    pathlib.Path
        The script, some 0.9 MB.
    """
    path = Path(folder) / NAME
    script = _bundle()
    if not path.is_file() or path.read_text(encoding="utf-8") != script:
        with replacing(path) as temporary:
            temporary.write_text(script, encoding="utf-8")
    return path


def _bundle():
    """Return the libraries' script, whose own names no other script of a page sees."""
    notice = (
        f"Vega {vl_convert.get_vega_version()}, "
        f"Vega-Lite {vl_convert.get_vegalite_versions()[-1]} and "
        f"Vega-Embed {vl_convert.get_vega_embed_version()}.\n"
        "Copyright (c) University of Washington Interactive Data Lab. "
        "All rights reserved.\n"
        "With D3, copyright (c) Mike Bostock, under the ISC licence.\n"
    )
    bundle = vl_convert.javascript_bundle()
    return f"/*\n{notice}\n{LICENCE}\n*/\n(() => {{\n{bundle}}})();\n"
