package realgitea

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// configText is a minimal app.ini: SQLite, Actions, no mail, no SSH, and
// nothing that looks beyond the machine. Its values are the directory, the
// host, the port, the base URL and the directory of the templates.
const configText = `RUN_MODE = prod
WORK_PATH = %[1]s
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
[server]
HTTP_ADDR = %[2]s
HTTP_PORT = %[3]s
ROOT_URL = %[4]s/
STATIC_ROOT_PATH = %[5]s
DISABLE_SSH = true
OFFLINE_MODE = true
APP_DATA_PATH = %[1]s/data
[database]
DB_TYPE = sqlite3
PATH = %[1]s/gitea.db
SQLITE_JOURNAL_MODE = WAL
[security]
INSTALL_LOCK = true
SECRET_KEY = conformance-conformance-conformance
PASSWORD_HASH_ALGO = pbkdf2$1000$50
[oauth2]
ENABLED = false
JWT_SECRET = Y29uZm9ybWFuY2UtY29uZm9ybWFuY2UtY29uZm9ybWE
[indexer]
ISSUE_INDEXER_TYPE = db
[actions]
ENABLED = true
[webhook]
ALLOWED_HOST_LIST = *
[cron.update_checker]
ENABLED = false
[log]
MODE = file
LEVEL = Warn
ROOT_PATH = %[1]s/log
`

// writeConfig writes the server's app.ini, which the server adds secrets of its
// own to.
func (c *command) writeConfig(t testing.TB, base string) {
	t.Helper()
	host, port, err := net.SplitHostPort(strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	static := c.Static
	if static == "" {
		static = c.dir
	}
	c.config = filepath.Join(c.dir, "app.ini")
	if err := os.WriteFile(c.config, fmt.Appendf(nil, configText, c.dir, host, port, base, static), 0o600); err != nil {
		t.Fatal(err)
	}
}
