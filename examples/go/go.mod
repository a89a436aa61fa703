module example.com/wxtokend

go 1.19
