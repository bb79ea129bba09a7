// Command probe is the only program in the images of the tests.
package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

// run does what its first argument says: "exit N", "sleep" until SIGTERM,
// "print N" lines to stdout and stderr in turn, "cat FILE", "rewrite FILE",
// "env", "listen ADDRESS", "dial ADDRESS" until it connects, "conform" as package
// conformance asks for.
func run(args []string) error {
	if len(args) == 0 {
		args = []string{"sleep"}
	}
	switch args[0] {
	case "exit":
		code, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		os.Exit(code)
	case "sleep":
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		fmt.Println("ready")
		<-stop
		fmt.Println("stopping")
	case "print":
		return lines(args[1])
	case "cat":
		return cat(args[1])
	case "rewrite":
		return rewrite(args[1])
	case "env":
		for _, v := range os.Environ() {
			fmt.Println(v)
		}
	case "listen":
		l, err := net.Listen("tcp", args[1])
		if err != nil {
			return err
		}
		for {
			if _, err := l.Accept(); err != nil {
				return err
			}
		}
	case "dial":
		return dial(args[1])
	case "conform":
		return conform()
	default:
		return fmt.Errorf("unknown mode %q", args[0])
	}
	return nil
}

// dial connects within half a minute: a name is known only a moment after its
// container was started.
func dial(address string) error {
	var err error
	for range 60 {
		if _, err = net.DialTimeout("tcp", address, 5*time.Second); err == nil {
			fmt.Println("connected")
			return nil
		}
		time.Sleep(500 * time.Millisecond)
	}
	return err
}

func lines(count string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	for i := 1; i <= n; i++ {
		w := io.Writer(os.Stdout)
		if i%2 == 0 {
			w = os.Stderr
		}
		fmt.Fprintf(w, "\x1b[31mline %d\x1b[0m\r\n", i)
	}
	return nil
}

func cat(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(data)
	return err
}

// rewrite replaces a file in place and makes another beside it, as a runner
// does with its own files.
func rewrite(file string) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	stat := info.Sys().(*syscall.Stat_t)
	if err := os.WriteFile(file, []byte("rewritten"), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(file+".tmp", nil, 0o600); err != nil {
		return err
	}
	fmt.Printf("uid %d file %d:%d mode %o\n", os.Getuid(), stat.Uid, stat.Gid, info.Mode().Perm())
	return nil
}

// conform does what the files in /data say.
func conform() error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	for _, v := range os.Environ() {
		fmt.Println(v)
	}
	if err := cat("/data/greeting"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	switch code, err := os.ReadFile("/data/exit"); {
	case errors.Is(err, fs.ErrNotExist):
		<-stop
		return nil
	case err != nil:
		return err
	default:
		n, err := strconv.Atoi(string(code))
		if err != nil {
			return err
		}
		os.Exit(n)
		return nil
	}
}
