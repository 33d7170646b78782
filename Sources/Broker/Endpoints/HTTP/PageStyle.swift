extension Page {
    /// How the page looks.
    static let style = """
        body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #1c2430 }
        h1 { font-size: 1.4rem }
        form { display: flex; gap: .5rem; margin: .75rem 0; flex-wrap: wrap }
        input, button { font: inherit; padding: .35rem .6rem; border: 1px solid #b7c0cc; border-radius: 6px }
        input[name=filter], input[name=topic] { flex: 1 1 14rem } input[name=data] { flex: 2 1 16rem }
        button { background: #1f5fd0; border-color: #1f5fd0; color: #fff; cursor: pointer }
        table { border-collapse: collapse; width: 100% } td, th { text-align: left; padding: .3rem .6rem; vertical-align: top }
        th { border-bottom: 2px solid #d6dce4 } td { border-bottom: 1px solid #edf0f4; word-break: break-word }
        td:first-child, th:first-child { width: 5rem; color: #66717f } .retained { color: #8a5a00 }
        #state { color: #66717f }

        """
}
