package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/docker/go-units"

	"scaler.io/scaler/internal/doctor"
	"scaler.io/scaler/internal/host"
	"scaler.io/scaler/internal/server"
	"scaler.io/scaler/internal/state"
)

// Space that the state's file system should have, in bytes. The state itself
// takes a few megabytes.
const (
	stateLeast = 16 << 20
	stateGood  = 256 << 20
)

// checkState says whether the daemon can keep its records.
func (e *exam) checkState(_ context.Context, r *doctor.Report) {
	dir := e.cfg.StateDir
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.checkMissing(r, dir)
	case err != nil:
		r.Fail(dir, err.Error(), "run this as root, or as the user that the daemon runs as")
		return
	case !info.IsDir():
		r.Fail(dir, "it is not a directory", "move it away, or set another state_dir")
		return
	case info.Mode().Perm()&0o077 != 0:
		r.Fail(dir, fmt.Sprintf("it has mode %04o and would show the runners' tokens to other users", info.Mode().Perm()), "run chmod 0700 "+dir)
	default:
		e.checkStateAccess(r, dir)
	}
	checkSpace(r, nearest(dir), stateLeast, stateGood, "state_dir")
}

// checkMissing is for a directory that the daemon is to make.
func (e *exam) checkMissing(r *doctor.Report, dir string) {
	above := nearest(dir)
	switch {
	case e.unit.loaded:
		r.OK(dir, "it does not exist yet; systemd or the daemon makes it")
	case e.user != nil && e.user.reach(above, mayWrite|mayEnter) != nil:
		r.Fail(dir, "it does not exist, and user "+e.user.name+" cannot make it", fmt.Sprintf("run install -d -m 0700 -o %s -g %[1]s %s", e.user.name, dir))
	case e.user == nil && !mayWriteTo(above):
		r.Fail(dir, "it does not exist, and this user cannot make it", fmt.Sprintf("run sudo install -d -m 0700 -o %d %s, or set another state_dir", os.Geteuid(), dir))
	default:
		r.OK(dir, "it does not exist yet, and the daemon can make it")
	}
}

// mayWriteTo reports whether this process may make files in a directory.
func mayWriteTo(dir string) bool {
	const accessWrite, accessEnter = 2, 1 // W_OK and X_OK of access(2)
	return syscall.Access(dir, accessWrite|accessEnter) == nil
}

func (e *exam) checkStateAccess(r *doctor.Report, dir string) {
	if e.user != nil {
		if err := e.user.reach(dir, mayRead|mayWrite|mayEnter); err != nil {
			e.asUser(r, dir, mayRead|mayWrite|mayEnter)
			return
		}
	} else if !mayWriteTo(dir) {
		r.Fail(dir, "this user cannot write to it", fmt.Sprintf("run this as the user that the daemon runs as, or chown -R %d %s", os.Geteuid(), dir))
		return
	}
	report, err := state.Check(filepath.Join(dir, state.FileName), dir)
	switch {
	case errors.Is(err, state.ErrLocked):
		r.OK(dir, "in use by a running daemon")
	case errors.Is(err, fs.ErrNotExist):
		r.OK(dir, "writable, and empty: no daemon has run here yet")
	case err != nil:
		r.Fail(dir, err.Error(), "run scaler state check, which says more")
	case len(report.Faults) > 0:
		r.Fail(dir, errors.Join(report.Faults...).Error(), "run scaler state check; a copy by scaler state backup can take its place while the daemon is stopped")
	default:
		r.OK(dir, "writable, with %s", count(len(report.Records), "record"))
	}
}

// checkSpace says what is under a path. A little space is a warning, none is a
// failure.
func checkSpace(r *doctor.Report, path string, least, good int64, key string) {
	subject := "file system of " + path
	f, err := host.Look(path)
	size := func(n int64) string { return units.BytesSize(float64(n)) }
	switch {
	case err != nil:
		r.Skip(subject, "%s", err)
		return
	case f.ReadOnly:
		r.Fail(subject, "it is read-only", "look at the kernel's log for disk errors (dmesg), and mount it writable")
		return
	case f.Free < least:
		r.Fail(subject, fmt.Sprintf("only %s are free", size(f.Free)), fmt.Sprintf("make room: at least %s, better %s; du -xh --max-depth=1 %s shows what takes it", size(least), size(good), path))
		return
	case f.Free < good:
		r.Warn(subject, fmt.Sprintf("%s are free", size(f.Free)), fmt.Sprintf("make room: %s or more; du -xh --max-depth=1 %s shows what takes it", size(good), path))
	default:
		r.OK(subject, "%s of %s are free", size(f.Free), size(f.Total))
	}
	if f.Network != "" {
		r.Warn(subject, "it is not this machine's own ("+f.Network+"): locks and syncs there may not hold what they promise", "keep it on a local disk: set "+key+" to a directory there")
	}
}

// checkSocket says whether a daemon answers, or could make its socket.
func (e *exam) checkSocket(ctx context.Context, r *doctor.Report) {
	path := e.cfg.ControlSocket
	status, err := server.NewClient(path).Status(ctx)
	switch {
	case err == nil:
		r.OK(path, "a daemon answers: version %s, cycle %d", status.Version, status.Cycle)
		if own := readBuildInfo().Version; status.Version != own {
			r.Warn(path, fmt.Sprintf("the daemon is version %s, and this program %s", status.Version, own), "restart the daemon, which disturbs no runner: systemctl restart "+e.unit.name)
		}
		for _, p := range status.Problems {
			r.Warn(path, "the daemon says of "+p.Subject+": "+p.Message, "see scaler status")
		}
		return
	case !notRunning(err) && errors.Is(err, fs.ErrPermission):
		r.Skip(path, "this user may not use it: run this as root or as the daemon's user")
		return
	case !notRunning(err):
		r.Fail(path, err.Error(), "see what holds the daemon up: journalctl -u "+e.unit.name+", or its log")
		return
	}
	info, err := os.Lstat(path)
	if err == nil && info.Mode().Type() != fs.ModeSocket {
		r.Fail(path, "there is something else than a socket", "move it away, or set another control_socket")
		return
	}
	dir := filepath.Dir(path)
	above := nearest(dir)
	switch {
	case e.unit.loaded:
		r.OK(path, "no daemon runs; systemd makes its directory when it starts one")
	case e.user != nil && e.user.reach(above, mayWrite|mayEnter) != nil:
		r.Fail(path, "no daemon runs, and user "+e.user.name+" cannot make it", fmt.Sprintf("run install -d -m 0750 -o %s -g %[1]s %s, which is gone after a boot where /run is in memory; a systemd unit has RuntimeDirectory= for that", e.user.name, dir))
	case e.user == nil && !mayWriteTo(above):
		r.Fail(path, "no daemon runs, and this user cannot make it", fmt.Sprintf("run sudo install -d -m 0750 -o %d %s, or set another control_socket", os.Geteuid(), dir))
	default:
		r.OK(path, "no daemon runs, and one can make it")
	}
}

// checkPressure says whether what limits.pressure bounds can be measured.
func (e *exam) checkPressure(ctx context.Context, r *doctor.Report) {
	p := e.cfg.Limits.Pressure
	if newMonitor(p, nil) == nil {
		r.Skip("limits.pressure", "it is not used")
		return
	}
	faults := unmeasurable(ctx, p)
	for _, f := range faults {
		r.Fail("limits.pressure", strings.TrimPrefix(f, "limits.pressure: "), "boot the kernel with psi=1 if it has no /proc/pressure, correct disk_paths, or take the limit away")
	}
	if len(faults) == 0 {
		r.OK("limits.pressure", "all of it can be measured")
	}
}
