// Sends numbered events by Elastic's own Lumberjack client, as Filebeat's output.logstash uses it: windows that are
// compressed, several of them under way, and what was not acknowledged sent again on a new connection.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	lumberjack "github.com/elastic/go-lumber/client/v2"
)

type ack struct {
	window *window
	events uint32
	err    error
}

type window struct {
	events []interface{}
}

// What Filebeat makes of a line.
func event(i int, pad string) interface{} {
	return map[string]interface{}{
		"@timestamp": time.Date(2025, 2, 15, 12, 0, 0, i%1000*1000000, time.UTC).Add(time.Duration(i/1000) * time.Second),
		"@metadata":  map[string]interface{}{"beat": "filebeat", "type": "_doc", "version": "8.17.0"},
		"message":    fmt.Sprintf("line %d %s", i, pad),
		"n":          i,
		"log":        map[string]interface{}{"offset": i * 100, "file": map[string]string{"path": "/var/log/app.log"}},
		"input":      map[string]string{"type": "filestream"},
		"host":       map[string]string{"name": "h-1"},
		"agent":      map[string]string{"type": "filebeat", "version": "8.17.0"},
		"ecs":        map[string]string{"version": "8.0.0"},
	}
}

// Sends windows until all are acknowledged or the connection breaks; answers those that are left.
func send(to string, windows []*window, inflight, level int) ([]*window, error) {
	client, err := lumberjack.AsyncDial(to, inflight, lumberjack.CompressionLevel(level), lumberjack.Timeout(30*time.Second))
	if err != nil {
		return windows, err
	}
	defer client.Close()
	acks := make(chan ack, len(windows))
	sent := 0
	for _, w := range windows {
		w := w
		if err = client.Send(func(seq uint32, err error) { acks <- ack{w, seq, err} }, w.events); err != nil {
			break // its callback is not called
		}
		sent++
	}
	left := append([]*window{}, windows[sent:]...)
	for i := 0; i < sent; i++ {
		a := <-acks
		a.window.events = a.window.events[a.events:]
		if a.err != nil {
			err = a.err
		}
		if len(a.window.events) > 0 {
			left = append(left, a.window)
		}
	}
	return left, err
}

func main() {
	to := flag.String("to", "", "HOST:PORT")
	n := flag.Int("n", 1000, "events")
	size := flag.Int("window", 2048, "events a window")
	inflight := flag.Int("pipelining", 2, "windows under way")
	level := flag.Int("compression", 3, "level; 0: none")
	pad := flag.String("pad", "", "text behind each line")
	flag.Parse()
	var windows []*window
	for i := 0; i < *n; i += *size {
		w := &window{}
		for j := i; j < *n && j < i+*size; j++ {
			w.events = append(w.events, event(j, *pad))
		}
		windows = append(windows, w)
	}
	connections := 0
	for deadline := time.Now().Add(90 * time.Second); len(windows) > 0; connections++ {
		if time.Now().After(deadline) {
			fmt.Fprintln(os.Stderr, len(windows), "windows are left")
			os.Exit(1)
		}
		var err error
		if windows, err = send(*to, windows, *inflight, *level); err != nil {
			fmt.Fprintln(os.Stderr, err)
			time.Sleep(200 * time.Millisecond)
		}
	}
	fmt.Println(connections)
}
