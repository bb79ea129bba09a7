package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

var (
	shellBlock = regexp.MustCompile("(?ms)^[ ]*```(?:sh|console|bash)\n(.*?)^[ ]*```$")
	anyBlock   = regexp.MustCompile("(?ms)^[ ]*```.*?^[ ]*```$")
	codeSpan   = regexp.MustCompile("`([^`]+)`")
	shellWord  = regexp.MustCompile(`(?:[^\s"']|"[^"]*"|'[^']*')+`)
	// shellEnd is where a command's own words end.
	shellEnd = regexp.MustCompile(`^(\||\|\||&&|;|>|>>|<|2>|2>&1|&|#.*)$`)
)

// documentFiles are all documents.
func documentFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		found, err := filepath.Glob(filepath.Join("..", "..", pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) < 10 {
		t.Fatalf("only %d documents found", len(files))
	}
	return files
}

// commandLines are the command lines of scaler in a document, without the name
// of the program.
func commandLines(text string) [][]string {
	var lines [][]string
	for _, m := range shellBlock.FindAllStringSubmatch(text, -1) {
		for line := range strings.Lines(strings.ReplaceAll(m[1], "\\\n", " ")) {
			lines = append(lines, commandsIn(strings.TrimPrefix(strings.TrimSpace(line), "$ "))...)
		}
	}
	for _, m := range codeSpan.FindAllStringSubmatch(anyBlock.ReplaceAllString(text, ""), -1) {
		lines = append(lines, commandsIn(strings.Join(strings.Fields(m[1]), " "))...)
	}
	return lines
}

// commandsIn finds the calls of scaler in one line of a shell.
func commandsIn(line string) (commands [][]string) {
	words := shellWord.FindAllString(line, -1)
	for i := 0; i < len(words); i++ {
		if !callsScaler(words, i) {
			continue
		}
		args := []string{}
		for i++; i < len(words) && !shellEnd.MatchString(words[i]); i++ {
			ends := strings.HasSuffix(words[i], ";")
			args = append(args, strings.Trim(words[i], `'"()[];$`))
			if ends {
				break
			}
		}
		commands = append(commands, args)
	}
	return commands
}

// callsScaler reports whether the word is the program of a command.
func callsScaler(words []string, i int) bool {
	if strings.HasSuffix(words[i], "$(scaler") {
		return true
	}
	if name := words[i]; name != "scaler" && name != "/scaler" && name != "bin/scaler" && name != "/usr/bin/scaler" {
		return false
	}
	if i == 0 || shellEnd.MatchString(words[i-1]) || strings.HasSuffix(words[i-1], ";") {
		return true
	}
	before := strings.Join(words[:i], " ")
	for _, prefix := range []string{"sudo", "sudo -u scaler", "docker compose exec scaler", "docker exec scaler"} {
		if before == prefix || strings.HasSuffix(before, " "+prefix) {
			// In "docker compose exec scaler" the word is the container.
			return !(strings.HasPrefix(prefix, "docker") && words[i] == "scaler")
		}
	}
	return false
}

// Whoever copies a command from a document gets no "unknown command" or
// "unknown flag".
func TestCommandsInDocumentsExist(t *testing.T) {
	n := 0
	for _, file := range documentFiles(t) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, args := range commandLines(string(data)) {
			n++
			if len(args) == 1 && args[0] == "starts" {
				continue // what the log says
			}
			if err := parses(args); err != nil {
				t.Errorf("%s: scaler %s: %v", filepath.Base(file), strings.Join(args, " "), err)
			}
		}
	}
	if n < 60 {
		t.Errorf("only %d commands found", n)
	}
}

// parses reports why a command line would be refused. Words in capitals stand
// for something.
func parses(args []string) error {
	for i, a := range args {
		if placeholder.MatchString(a) {
			args[i] = "1" // which is a name, a number and a file
		}
	}
	root := newRootCommand()
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	cmd.InitDefaultHelpFlag()
	err = cmd.ParseFlags(rest)
	if err != nil && strings.HasPrefix(args[len(args)-1], "-") { // it is only named
		err = cmd.ParseFlags(append(rest, "1"))
	}
	if err != nil {
		return err
	}
	if cmd.HasSubCommands() {
		return unknownCommand(cmd, cmd.Flags().Args())
	}
	return validArgs(cmd)
}

var placeholder = regexp.MustCompile(`^[A-Z][A-Z_]*$`)

// validArgs checks the number of arguments, unless the text names the command
// only, as texts do.
func validArgs(cmd *cobra.Command) error {
	if cmd.Flags().NArg() == 0 && cmd.Flags().NFlag() == 0 {
		return nil
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}

func TestCommandLinesAreFound(t *testing.T) {
	got := commandLines("Run `scaler a b`, or\n```sh\nsudo -u scaler scaler c --d | jq e; x=$(scaler f)\ndocker compose exec scaler /scaler g # h\necho scaler\n```\nand `docker stop scaler`, and `scaler\ni`")
	var lines []string
	for _, l := range got {
		lines = append(lines, strings.Join(l, " "))
	}
	if want := "c --d\nf\ng\na b\ni"; strings.Join(lines, "\n") != want {
		t.Errorf("found\n%s\nwant\n%s", strings.Join(lines, "\n"), want)
	}
	for text, want := range map[string]string{"nonsense": "unknown command", "status --nope": "unknown flag", "explain a b c": "want one job", "token nonsense": "unknown command"} {
		if err := parses(strings.Fields(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("scaler %s: %v, want %q", text, err, want)
		}
	}
}
