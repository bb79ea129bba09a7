// Command stepshell is the shell of the jobs' steps in an image that has none:
//
//	shell: /bin/stepshell {0}
//
// The script has one command a line:
//
//	sleep DURATION   as in sleep 1.5s; prints slept DURATION after it
//	env              print the environment
//	exit CODE
//
// Under the name sleep it waits for its argument's number of seconds.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func main() {
	if filepath.Base(os.Args[0]) == "sleep" {
		if err := run("sleep", os.Args[len(os.Args)-1]+"s"); err != nil {
			fatal(err)
		}
		return
	}
	script, err := os.ReadFile(os.Args[len(os.Args)-1])
	if err != nil {
		fatal(err)
	}
	for line := range strings.Lines(string(script)) {
		name, argument, _ := strings.Cut(strings.TrimSpace(line), " ")
		if err := run(name, argument); err != nil {
			fatal(err)
		}
	}
}

func run(name, argument string) error {
	switch name {
	case "":
		return nil
	case "sleep":
		d, err := time.ParseDuration(argument)
		if err != nil {
			return err
		}
		time.Sleep(d)
		_, err = fmt.Println("slept", argument)
		return err
	case "env":
		_, err := fmt.Println(strings.Join(os.Environ(), "\n"))
		return err
	case "exit":
		code, err := strconv.Atoi(argument)
		if err == nil {
			os.Exit(code)
		}
		return err
	}
	return fmt.Errorf("unknown command %q", name)
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "stepshell:", err)
	os.Exit(127)
}
