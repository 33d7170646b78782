extension Page {
    /// The page's style, light and dark, and for narrow screens.
    static let style = """
        :root {
          color-scheme: light dark;
          --paper: #ffffff; --ink: #1c2430; --faint: #5b6675; --line: #d6dce4; --thin: #edf0f4; --field: #ffffff;
          --edge: #8f9aa8; --action: #1f5fd0; --on-action: #ffffff; --kept: #8a5a00; --trouble: #b3261e;
        }
        @media (prefers-color-scheme: dark) {
          :root {
            --paper: #14181f; --ink: #e4e8ee; --faint: #a3adba; --line: #3a4350; --thin: #262d37; --field: #1d232c;
            --edge: #6b7684; --action: #8ab4ff; --on-action: #10151c; --kept: #f0b955; --trouble: #ff8a80;
          }
        }
        * { box-sizing: border-box }
        body {
          font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem;
          background: var(--paper); color: var(--ink); overflow-wrap: anywhere;
        }
        h1 { font-size: 1.4rem; margin: 0 0 .25rem }
        p { margin: .25rem 0 } p:empty { display: none }
        form { display: flex; gap: .5rem; margin: .75rem 0; flex-wrap: wrap; align-items: center }
        input, button {
          font: inherit; padding: .35rem .6rem; border: 1px solid var(--edge); border-radius: 6px;
          background: var(--field); color: var(--ink); min-width: 0; max-width: 100%;
        }
        input[name=filter], input[name=topic] { flex: 1 1 14rem } input[name=data] { flex: 2 1 16rem }
        button { background: var(--action); border-color: var(--action); color: var(--on-action); cursor: pointer }
        :focus-visible { outline: 2px solid var(--action); outline-offset: 2px }
        table { border-collapse: collapse; width: 100%; table-layout: fixed }
        td, th { text-align: left; padding: .3rem .6rem .3rem 0; vertical-align: top }
        th { border-bottom: 2px solid var(--line) } td { border-bottom: 1px solid var(--thin) }
        td { unicode-bidi: isolate }
        td:first-child, th:first-child { width: 5rem; color: var(--faint) }
        td:nth-child(2), th:nth-child(2) { width: 30% }
        td:last-child { white-space: pre-wrap } .bytes td:last-child { font-family: ui-monospace, monospace }
        .retained td:not(:first-child) { color: var(--kept) }
        #state, #waiting { color: var(--faint) } #state.trouble { color: var(--trouble) }
        @media (max-width: 36rem) {
          body { margin: 1rem auto }
          input[name], button { flex: 1 1 100% } label { flex: 1 1 100% } input[type=checkbox] { flex: none }
          thead { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden }
          tr { display: grid; grid-template-columns: minmax(0, 1fr) auto; border-bottom: 1px solid var(--thin); padding: .35rem 0 }
          td, td:first-child, td:nth-child(2) { border: 0; padding: 0; width: auto }
          td:first-child { order: 2; padding-left: .6rem } td:nth-child(2) { color: var(--faint) }
          td:last-child { order: 3; grid-column: 1 / -1 }
        }

        """
}
