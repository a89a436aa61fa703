// Answers each line "ID METHOD PATH" on stdin with "ID<TAB>answer<TAB>JSON" or "ID<TAB>error<TAB>TEXT", all at once.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"

	"example.com/wxtokend"
)

// credential.AccessTokenHandle of github.com/silenceper/wechat/v2
type accessTokenHandle interface {
	GetAccessToken() (accessToken string, err error)
}

// credential.JsTicketHandle of github.com/silenceper/wechat/v2
type jsTicketHandle interface {
	GetTicket(accessToken string) (ticket string, err error)
}

// core.AccessTokenServer of github.com/chanxuehong/wechat/mp/core
type accessTokenServer interface {
	Token() (token string, err error)
	RefreshToken(currentToken string) (token string, err error)
	IID01332E16DF5011E5A9D5A4DB30FED8E1()
}

func main() {
	reader := wxtokend.New(os.Getenv("WECHAT_APPID"), os.Getenv("WXTOKEND_DIRECTORY"))
	if os.Args[1] == "tickets" {
		signLines(reader)
		return
	}
	if os.Args[1] == "js-ticket" {
		signAsSilenceper(wxtokend.JsTicket{Reader: reader})
		return
	}
	call := viaTransport(reader, &http.Client{Transport: &wxtokend.Transport{Reader: reader}})
	if os.Args[1] == "chanxuehong" {
		call = viaServer(reader)
	}
	var waiting sync.WaitGroup
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		words := strings.Fields(lines.Text())
		waiting.Add(1)
		go func() {
			defer waiting.Done()
			answer, err := call(words[1], words[2])
			if err != nil {
				fmt.Printf("%s\terror\t%s\n", words[0], err)
			} else {
				fmt.Printf("%s\tanswer\t%s\n", words[0], answer)
			}
		}()
	}
	waiting.Wait()
}

type caller func(method, path string) (string, error)

// As silenceper/wechat, and as anybody's own client.
func viaTransport(handle accessTokenHandle, client *http.Client) caller {
	return func(method, path string) (string, error) {
		token, err := handle.GetAccessToken()
		if err != nil {
			return "", err
		}
		return send(client, method, path, token)
	}
}

// As core.Client of chanxuehong/wechat, which retries by itself.
func viaServer(server accessTokenServer) caller {
	return func(method, path string) (string, error) {
		token, err := server.Token()
		if err != nil {
			return "", err
		}
		answer, err := send(http.DefaultClient, method, path, token)
		if err != nil || !strings.HasPrefix(answer, `{"errcode":40001,`) && !strings.HasPrefix(answer, `{"errcode":42001,`) {
			return answer, err
		}
		if token, err = server.RefreshToken(token); err != nil {
			return "", err
		}
		return send(http.DefaultClient, method, path, token)
	}
}

func send(client *http.Client, method, path, token string) (string, error) {
	url := os.Getenv("WECHAT_API") + path + "?reader=" + os.Getenv("WECHAT_APPID") + "&access_token=" + token
	var body io.Reader
	switch method {
	case "POST":
		body = strings.NewReader(`{"name":"中文"}`)
	case "STREAM":
		method, body = "POST", struct{ io.Reader }{strings.NewReader("中文")}
	}
	request, err := http.NewRequest(method, url, body)
	if err != nil {
		return "", err
	}
	answer, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return strings.TrimSpace(string(text)), err
}
