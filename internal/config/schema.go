package config

import _ "embed"

// Schema is the JSON Schema (draft 2020-12) of the configuration file, for
// editors. What it accepts may still be refused by Parse, which knows more; what
// Parse accepts, it accepts too.
//
//go:embed schema.json
var Schema string
