"""The web page: one file per tab, all of them thin, because everything they show comes from `sfhub.pipelines`."""
