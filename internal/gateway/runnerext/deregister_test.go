package runnerext

import (
	"testing"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// TestRequestOnTheWire holds the numbers and names of the proposal.
func TestRequestOnTheWire(t *testing.T) {
	var wire []byte
	wire = protowire.AppendVarint(protowire.AppendTag(wire, 1, protowire.VarintType), 7)
	wire = protowire.AppendString(protowire.AppendTag(wire, 2, protowire.BytesType), "u-7")
	wire = protowire.AppendString(protowire.AppendTag(wire, 3, protowire.BytesType), "secret")
	wire = protowire.AppendVarint(protowire.AppendTag(wire, 4, protowire.VarintType), 1)
	want := &DeregisterRequest{Id: 7, Uuid: "u-7", Token: "secret", Force: true}
	var got DeregisterRequest
	if err := proto.Unmarshal(wire, &got); err != nil || !proto.Equal(&got, want) {
		t.Errorf("protobuf: %v, %v, want %v", &got, err, want)
	}
	got.Reset()
	if err := protojson.Unmarshal([]byte(`{"id":"7","uuid":"u-7","token":"secret","force":true}`), &got); err != nil || !proto.Equal(&got, want) {
		t.Errorf("JSON: %v, %v, want %v", &got, err, want)
	}
	if name := want.ProtoReflect().Descriptor().FullName(); name != "runner.v1.DeregisterRequest" {
		t.Errorf("its name is %s", name)
	}
}

func TestResponseOnTheWire(t *testing.T) {
	runner, err := proto.Marshal(&runnerv1.Runner{Id: 7, Name: "linux-1"})
	if err != nil {
		t.Fatal(err)
	}
	wire := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), runner)
	var got DeregisterResponse
	if err := proto.Unmarshal(wire, &got); err != nil || got.GetRunner().GetId() != 7 || got.GetRunner().GetName() != "linux-1" {
		t.Errorf("got %v, %v", &got, err)
	}
	if name := got.ProtoReflect().Descriptor().FullName(); name != "runner.v1.DeregisterResponse" {
		t.Errorf("its name is %s", name)
	}
}
