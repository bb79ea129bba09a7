package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// span is a range of addresses.
type span struct{ from, to uintptr }

// unmapProgram gives back the memory of the program's own file: a start touches
// most of it, and the loop a quarter. What is used again comes back from the page
// cache at once; what is not the kernel may now take for the builds without having
// to find out first that it is idle. See madvise(2), MADV_DONTNEED.
func unmapProgram() error {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("find the program's file: %w", err)
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return fmt.Errorf("read what memory the program has: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	spans, err := unchanged(f, self)
	for _, s := range spans {
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, s.from, s.to-s.from, unix.MADV_DONTNEED); errno != 0 {
			err = errors.Join(err, fmt.Errorf("give back memory of the program's file: %w", errno))
		}
	}
	return err
}

// unchanged finds the mappings of a file that cannot be written and of which no
// page is of the process only, as relocations and breakpoints make them: nothing
// is in them but what is in the file. smaps is as proc_pid_smaps(5) describes it.
func unchanged(smaps io.Reader, file string) ([]span, error) {
	var found []span
	var current *span
	lines := bufio.NewScanner(smaps)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) >= 5 && !strings.HasSuffix(fields[0], ":"):
			current = nil
			if len(fields) == 6 && fields[5] == file && !strings.Contains(fields[1], "w") {
				s, err := parseSpan(fields[0])
				if err != nil {
					return nil, err
				}
				current = &s
			}
		case current != nil && fields[0] == "Anonymous:" && fields[1] == "0":
			found = append(found, *current)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read what memory the program has: %w", err)
	}
	return found, nil
}

// parseSpan reads two hexadecimal numbers with a dash between them.
func parseSpan(text string) (span, error) {
	from, to, _ := strings.Cut(text, "-")
	first, err := strconv.ParseUint(from, 16, strconv.IntSize)
	last, lastErr := strconv.ParseUint(to, 16, strconv.IntSize)
	if err := errors.Join(err, lastErr); err != nil {
		return span{}, fmt.Errorf("read range of addresses %q: %w", text, err)
	}
	return span{uintptr(first), uintptr(last)}, nil
}
