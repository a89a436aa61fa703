module example.com/driver

go 1.19

require example.com/wxtokend v0.0.0

replace example.com/wxtokend => ../../../../examples/go
