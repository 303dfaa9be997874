"""The web page: a folder per tab, all of them thin, because everything they show comes from `sfhub.pipelines`.

Each tab has the same four files: `layout` places the components and connects the events, `state` holds what a visitor
chose as immutable values, `work` computes and remembers pictures, `view` turns both into markup. What tabs share is in
`common`; no tab imports another.
"""
