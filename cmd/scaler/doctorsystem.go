package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// defaultUnit is the unit that runs the daemon, if nobody says otherwise.
const defaultUnit = "scaler.service"

// systemctlTimeout bounds a question to systemd.
const systemctlTimeout = 5 * time.Second

// systemdUnit is what systemd says of the unit that runs the daemon.
type systemdUnit struct {
	name   string
	loaded bool   // systemd knows it, and it is about this configuration
	config string // that it runs with, empty if it is not known
	active, enabled,
	user, kind, result string
	groups      []string
	stopTimeout time.Duration     // 0 if it is not known or without end
	restarts    int               // since it was started by hand
	credentials map[string]string // names to paths
}

// findUnit asks systemd, if it runs this machine. Where it does not, and if the
// unit runs with another configuration, it is not loaded.
func findUnit(ctx context.Context, name, config string) systemdUnit {
	u := systemdUnit{name: name, credentials: map[string]string{}}
	ctx, cancel := context.WithTimeout(ctx, systemctlTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, "systemctl", "show", name, "--no-pager",
		"--property=LoadState,ActiveState,UnitFileState,User,SupplementaryGroups,TimeoutStopUSec,Type,Result,NRestarts,LoadCredential,ExecStart").Output()
	if err == nil {
		u.read(string(out))
	}
	if u.config != "" && u.config != absolute(config) {
		return systemdUnit{name: name, config: u.config, credentials: map[string]string{}}
	}
	return u
}

// read reads the properties as systemctl show prints them.
func (u *systemdUnit) read(text string) {
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch name {
		case "LoadState":
			u.loaded = value == "loaded"
		case "ActiveState":
			u.active = value
		case "UnitFileState":
			u.enabled = value
		case "User":
			u.user = value
		case "SupplementaryGroups":
			u.groups = strings.Fields(value)
		case "Type":
			u.kind = value
		case "Result":
			u.result = value
		case "NRestarts":
			u.restarts, _ = strconv.Atoi(value)
		case "TimeoutStopUSec":
			u.stopTimeout, _ = time.ParseDuration(strings.ReplaceAll(strings.ReplaceAll(value, " ", ""), "min", "m"))
		case "ExecStart":
			if m := configArgument.FindStringSubmatch(value); m != nil {
				u.config = m[1]
			}
		case "LoadCredential":
			for _, pair := range strings.Fields(value) {
				if id, path, ok := strings.Cut(pair, ":"); ok && filepath.IsAbs(path) {
					u.credentials[id] = path
				}
			}
		}
	}
}

// configArgument is the configuration in a command line.
var configArgument = regexp.MustCompile(` (?:--config|-c)[ =](/[^ ;]+)`)

// credentialsVariable is where systemd tells a service of its credentials.
const credentialsVariable = "CREDENTIALS_DIRECTORY"

// takeCredentials lets this process find the credentials that the unit has, as
// the service would, if whoever runs it may read them.
func (e *exam) takeCredentials() error {
	if len(e.unit.credentials) == 0 || os.Getenv(credentialsVariable) != "" {
		return nil
	}
	dir, err := os.MkdirTemp("", "scaler-doctor-*") // has mode 0700
	if err != nil {
		return fmt.Errorf("stand in for the unit's credentials: %w", err)
	}
	e.credentials = dir
	for name, path := range e.unit.credentials {
		if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("stand in for the unit's credentials: %w", err)
		}
	}
	return os.Setenv(credentialsVariable, dir)
}

// account is a user of this machine, as far as access to files goes.
type account struct {
	name   string
	uid    uint32
	gid    uint32 // its own group
	groups []uint32
}

// ownUser is the account of the daemon where no unit names one.
const ownUser = "scaler"

// serviceUser returns whom the service runs as, if this process is root and may
// so see more than the service does. Without a unit it is the usual user, for a
// configuration in the usual place.
func serviceUser(u systemdUnit, config string) *account {
	if os.Geteuid() != 0 {
		return nil
	}
	name := u.user
	switch {
	case u.loaded:
	case filepath.Dir(absolute(config)) != filepath.Dir(defaultConfig):
		return nil
	default:
		name = ownUser
	}
	found, err := user.Lookup(name)
	if err != nil || found.Uid == "0" {
		return nil
	}
	a := &account{name: name}
	uid, err := strconv.ParseUint(found.Uid, 10, 32)
	if err != nil {
		return nil
	}
	a.uid = uint32(uid)
	gid, err := strconv.ParseUint(found.Gid, 10, 32)
	if err != nil {
		return nil
	}
	a.gid = uint32(gid)
	ids, _ := found.GroupIds() // without them it has its own at least
	ids = append(ids, found.Gid)
	for _, group := range u.groups {
		if g, err := user.LookupGroup(group); err == nil {
			ids = append(ids, g.Gid)
		}
	}
	for _, id := range ids {
		if gid, err := strconv.ParseUint(id, 10, 32); err == nil {
			a.groups = append(a.groups, uint32(gid))
		}
	}
	return a
}

// Access to a file, as bits of a mode.
const (
	mayRead  fs.FileMode = 4
	mayWrite fs.FileMode = 2
	mayEnter fs.FileMode = 1
)

// reach says why the account has no such access to a path, by the modes of the
// path and of the directories above it; nil if it has. It knows nothing of
// access control lists.
func (a *account) reach(path string, want fs.FileMode) error {
	var above []string
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		above = append(above, dir)
		if dir == filepath.Dir(dir) {
			break
		}
	}
	slices.Reverse(above)
	for _, dir := range above {
		if err := a.has(dir, mayEnter); err != nil {
			return err
		}
	}
	return a.has(path, want)
}

func (a *account) has(path string, want fs.FileMode) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	bits := info.Mode().Perm()
	switch {
	case owner.Uid == a.uid:
		bits >>= 6
	case slices.Contains(a.groups, owner.Gid):
		bits >>= 3
	}
	if bits&want == want {
		return nil
	}
	verb := "read"
	switch {
	case want&mayWrite != 0:
		verb = "write to"
	case want&mayEnter != 0:
		verb = "enter"
	}
	return fmt.Errorf("user %s cannot %s %s (mode %04o, owner %s)", a.name, verb, path, info.Mode().Perm(), ownerName(owner))
}

// ownerName is USER:GROUP, by number where they have no name.
func ownerName(s *syscall.Stat_t) string {
	uid, gid := strconv.Itoa(int(s.Uid)), strconv.Itoa(int(s.Gid))
	if u, err := user.LookupId(uid); err == nil {
		uid = u.Username
	}
	if g, err := user.LookupGroupId(gid); err == nil {
		gid = g.Name
	}
	return uid + ":" + gid
}

// nearest returns the first path at or above one that exists.
func nearest(path string) string {
	for {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) || path == filepath.Dir(path) {
			return path
		}
		path = filepath.Dir(path)
	}
}
