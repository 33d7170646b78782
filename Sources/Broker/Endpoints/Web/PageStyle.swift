extension WebFile {
    /// `clients/console/page.css`, put here by `make web`.
    static let pageStyle = WebFile("text/css; charset=utf-8", tag: "d19255ac2db84700c4bc") {
        #"""
        :root{
        color-scheme:light dark;
        --paper:#ffffff;--ink:#1c2430;--faint:#5b6675;--line:#d6dce4;--thin:#edf0f4;--field:#ffffff;
        --edge:#7c8796;--action:#1f5fd0;--on-action:#ffffff;--kept:#8a5a00;--trouble:#b3261e;--chosen:#e3ecfb;
        --added:#1b6e3c;
        }
        @media (prefers-color-scheme:dark){
        :root{
        --paper:#14181f;--ink:#e4e8ee;--faint:#a3adba;--line:#3a4350;--thin:#262d37;--field:#1d232c;
        --edge:#6b7684;--action:#8ab4ff;--on-action:#10151c;--kept:#f0b955;--trouble:#ff8a80;--chosen:#26344d;
        --added:#7bd69b;
        }
        }
        *{box-sizing:border-box}
        [hidden]{display:none !important}
        body{
        font:15px/1.45 system-ui,sans-serif;margin:0 auto;max-width:90rem;padding:.75rem 1rem;
        background:var(--paper);color:var(--ink);overflow-wrap:anywhere;
        }
        header{display:flex;flex-wrap:wrap;gap:.25rem 1rem;align-items:baseline}
        header button{margin-left:auto}
        h1{font-size:1.25rem;margin:0}h2{font-size:1rem;margin:.5rem 0;unicode-bidi:isolate}
        nav{display:flex;flex-wrap:wrap;gap:.25rem .9rem}
        a{color:var(--action)}nav a{text-decoration:none;padding:.15rem 0}
        nav a[aria-current]{color:var(--ink);box-shadow:0 2px var(--action)}
        p{margin:.25rem 0}p:empty{display:none}
        form{display:flex;gap:.5rem;margin:.5rem 0;flex-wrap:wrap;align-items:center}
        input,button,select,textarea{
        font:inherit;padding:.3rem .6rem;border:1px solid var(--edge);border-radius:6px;
        background:var(--field);color:var(--ink);min-width:0;max-width:100%;
        }
        input[type=checkbox]{vertical-align:middle}input[type=file]{width:14rem}
        input[name=filter],input[name=topic]{flex:1 1 14rem}textarea{flex:2 1 16rem;resize:vertical}input[name=ttl]{width:5.5rem}
        button{cursor:pointer}form > button:not([type=button]),[value=yes]{background:var(--action);border-color:var(--action);color:var(--on-action)}
        button[aria-pressed=true]{background:var(--chosen)}button:disabled{opacity:.5;cursor:default}
        :focus-visible{outline:2px solid var(--action);outline-offset:1px}
        #state,#waiting,.faint{color:var(--faint)}.trouble#state,.trouble{color:var(--trouble)}
        .panes{display:grid;grid-template-columns:minmax(0,3fr) minmax(0,2fr);gap:1rem;height:max(18rem,calc(100vh - 16rem))}
        #tree,#inspector{overflow:auto;border:1px solid var(--line);border-radius:6px;min-width:0}
        #inspector{padding:.25rem .75rem}
        #rows{position:relative;min-width:0}
        [role=treeitem]{
        position:absolute;inset:0 0 auto 0;height:26px;line-height:26px;display:flex;gap:.5rem;padding-right:.5rem;
        white-space:pre;overflow:hidden;cursor:default;border-bottom:1px solid var(--thin);
        }
        [role=treeitem]:hover{background:var(--thin)}[role=treeitem][aria-selected=true]{background:var(--chosen)}
        .mark{width:1.1rem;flex:none;text-align:center;color:var(--faint)}
        .name{flex:none;max-width:60%;overflow:hidden;text-overflow:ellipsis}
        .value{flex:1 1 0;overflow:hidden;text-overflow:ellipsis;color:var(--faint);unicode-bidi:isolate}
        .retained .value{color:var(--kept)}
        .count,.age{flex:none;color:var(--faint);font-variant-numeric:tabular-nums}.age{width:4rem;text-align:right}
        pre{font:13px/1.4 ui-monospace,monospace;white-space:pre-wrap;margin:.5rem 0;max-height:24rem;overflow:auto;unicode-bidi:isolate}
        ins{color:var(--added);text-decoration:none}del{color:var(--trouble);text-decoration:none}
        img{max-width:100%}canvas{width:100%;height:90px;color:var(--faint)}
        dl{margin:.5rem 0}dl div{display:inline-block}dt,dd{display:inline;margin:0}dt{color:var(--faint);padding-right:.4rem;white-space:nowrap}dd{padding-right:1rem}
        .actions{display:flex;flex-wrap:wrap;gap:.4rem}
        table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.2rem .75rem .2rem 0;vertical-align:top;border-bottom:1px solid var(--thin)}
        th button{border:0;padding:0;background:none;font-weight:bold}td.number,th.number{text-align:right;font-variant-numeric:tabular-nums}
        #inspector td:first-child{white-space:nowrap}.wide{overflow-x:auto;overflow-wrap:normal}td button{padding:.1rem .5rem}
        .charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(15rem,1fr));gap:1rem}.charts figure{margin:0}
        dialog{border:1px solid var(--edge);border-radius:8px;background:var(--paper);color:var(--ink);width:min(44rem,94vw)}
        dialog form{display:block}dialog textarea{width:100%}dialog label{display:block;margin:.5rem 0}
        @media (max-width:46rem){
        .panes{grid-template-columns:minmax(0,1fr);height:auto}#tree{height:45vh}#inspector{max-height:60vh}
        .age,.count{display:none}input[name=filter],input[name=topic],textarea{flex:1 1 100%}
        }

        """#
    }
}
