// Command gen writes the Go code for deregister.proto. It runs in the directory
// of that file, and needs no other program: the compiler is linked in, and so
// is Gitea's protocol, from which the file imports.
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path"

	_ "code.gitea.io/actions-proto-go/runner/v1" // for runner/v1/messages.proto
	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/linker"
	"github.com/bufbuild/protocompile/protoutil"
	"google.golang.org/protobuf/cmd/protoc-gen-go/internal_gengo"
	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

const (
	source = "deregister.proto"
	output = "deregister.pb.go"
	// registered is the name under which a program that has the messages knows
	// their file. It must be the only one of that name.
	registered = "internal/gateway/runnerext/" + source
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run() error {
	text, err := os.ReadFile(source)
	if err != nil {
		return fmt.Errorf("read source: %w", err)
	}
	code, err := generate(text)
	if err != nil {
		return err
	}
	if err := os.WriteFile(output, code, 0o644); err != nil {
		return fmt.Errorf("write code: %w", err)
	}
	return nil
}

// generate returns the Go code for the text of a proto file. Its errors name
// the line at fault, or the message that the protocol has already.
func generate(text []byte) ([]byte, error) {
	file, err := compile(text)
	if err != nil {
		return nil, err
	}
	request := &pluginpb.CodeGeneratorRequest{
		FileToGenerate: []string{registered},
		Parameter:      proto.String("paths=source_relative"),
		ProtoFile:      withImports(file, make(map[string]bool)),
	}
	plugin, err := protogen.Options{}.New(request)
	if err != nil {
		return nil, fmt.Errorf("prepare generator: %w", err)
	}
	internal_gengo.GenerateFile(plugin, plugin.FilesByPath[registered])
	answer := plugin.Response()
	if answer.Error != nil {
		return nil, fmt.Errorf("generate code: %s", answer.GetError())
	}
	if n := len(answer.File); n != 1 || path.Base(answer.File[0].GetName()) != output {
		return nil, fmt.Errorf("generate code: got %d files, want %s alone", n, output)
	}
	return []byte(answer.File[0].GetContent()), nil
}

// compile reads the text, with its comments, and makes sure that the messages
// in it are new.
func compile(text []byte) (linker.File, error) {
	compiler := protocompile.Compiler{
		Resolver: protocompile.ResolverFunc(func(path string) (protocompile.SearchResult, error) {
			if path == registered {
				return protocompile.SearchResult{Source: bytes.NewReader(text)}, nil
			}
			linked, err := protoregistry.GlobalFiles.FindFileByPath(path)
			return protocompile.SearchResult{Desc: linked}, err
		}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := compiler.Compile(context.Background(), registered)
	if err != nil {
		return nil, fmt.Errorf("compile %s: %w", source, err)
	}
	messages := files[0].Messages()
	for i := range messages.Len() {
		name := messages.Get(i).FullName()
		if other, err := protoregistry.GlobalFiles.FindDescriptorByName(name); err == nil {
			return nil, fmt.Errorf("compile %s: %s already has %s", source, other.ParentFile().Path(), name)
		}
	}
	return files[0], nil
}

// withImports lists a file behind everything that it imports, each once.
func withImports(file protoreflect.FileDescriptor, seen map[string]bool) []*descriptorpb.FileDescriptorProto {
	if seen[file.Path()] {
		return nil
	}
	seen[file.Path()] = true
	var all []*descriptorpb.FileDescriptorProto
	imports := file.Imports()
	for i := range imports.Len() {
		all = append(all, withImports(imports.Get(i).FileDescriptor, seen)...)
	}
	return append(all, protoutil.ProtoFromFileDescriptor(file))
}
