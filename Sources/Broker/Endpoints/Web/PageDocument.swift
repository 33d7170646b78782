extension WebFile {
    /// `clients/console/page.html`, put here by `make web`.
    static let pageDocument = WebFile("text/html; charset=utf-8", tag: "92fd1e9afd26ac56aa06") {
        #"""
        <!doctype html>
        <html lang="en">
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>Broker</title>
        <link rel="icon" href="data:,">
        <link rel="stylesheet" href="page.css">
        <header>
        <h1>Broker</h1>
        <nav aria-label="Pages">
        <a href="#/topics">Topics</a> <a href="#/clients">Clients</a> <a href="#/slow">Slow</a> <a href="#/overview">Overview</a>
        <a href="#/access">Access</a> <a href="#/try">Try</a>
        </nav>
        <button id="who" type="button">Log in</button>
        </header>
        <main>
        <p id="state" role="status">connecting…</p>
        <p id="waiting" role="status"></p>
        <div id="topics">
        <form id="subscribe">
        <input name="filter" value="#" aria-label="filter" spellcheck="false"><button>Subscribe</button>
        <button type="button" id="pause" aria-pressed="false">Pause</button>
        </form>
        <div class="panes">
        <div id="tree" role="group" aria-label="Topics" tabindex="0"><div id="rows"></div></div>
        <section id="inspector" aria-label="The selected topic"></section>
        </div>
        <form id="publish">
        <input name="topic" value="sensors/1/temp" aria-label="topic" spellcheck="false">
        <textarea name="data" rows="1" aria-label="message" spellcheck="false">21.5</textarea>
        <select name="format" aria-label="format"><option>text</option><option>JSON</option><option>base64</option></select>
        <input name="file" type="file" aria-label="file in place of the message">
        <label><input type="checkbox" name="retain"> retain</label>
        <input name="ttl" inputmode="decimal" placeholder="ttl, s" aria-label="time to live in seconds">
        <button>Publish</button>
        </form>
        </div>
        <div id="other" hidden></div>
        <dialog id="dialog" aria-labelledby="title"></dialog>
        </main>
        <script type="module" src="page.js"></script>
        </html>

        """#
    }
}
